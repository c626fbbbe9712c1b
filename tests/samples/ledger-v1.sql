PRAGMA application_id = 1396920150;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE answered (base_url TEXT PRIMARY KEY) STRICT;
INSERT INTO "answered" VALUES('https://api.sunoapi.org');
INSERT INTO "answered" VALUES('http://127.0.0.1:8000/suno');
CREATE TABLE runs (number INTEGER NOT NULL, catalog TEXT) STRICT;
INSERT INTO "runs" VALUES(2,'fingerprint');
CREATE TABLE tracks (
        number INTEGER PRIMARY KEY,
        music_task_id TEXT NOT NULL UNIQUE,
        names TEXT NOT NULL,
        state INTEGER NOT NULL DEFAULT 0,
        cover_task_id TEXT,
        adopted INTEGER NOT NULL DEFAULT 0,
        images TEXT,
        created_at REAL,
        completed_at REAL,
        files TEXT,
        error TEXT,
        reason TEXT,
        put_off INTEGER NOT NULL DEFAULT 0
    ) STRICT;
INSERT INTO "tracks" VALUES(1,'waiting','{"Song": {"album": "A", "no": 1, "tags": ["a", null, {"b": 1.5}]}}',0,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO "tracks" VALUES(2,'submitting','{"S\u00f6ng \ud83c\udfb5": {}}',1,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO "tracks" VALUES(3,'submitted','{"''; DROP TABLE tracks; --": {}}',2,'c-submitted',0,NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO "tracks" VALUES(4,'adopted','{"": {}}',2,'c-adopted',1,NULL,NULL,NULL,NULL,NULL,NULL,0);
INSERT INTO "tracks" VALUES(5,'covered','{"Covered": {}}',3,'c-covered',0,'["https://images.example/covered-1.png?a=%20&b=\u00fc", "https://images.example/covered-2.png"]',NULL,1777636800.5,NULL,NULL,NULL,0);
INSERT INTO "tracks" VALUES(6,'put-off','{"Put off": {}}',3,'c-put-off',0,'["https://images.example/put-off-1.png?a=%20&b=\u00fc", "https://images.example/put-off-2.png"]',1777636758.75,1777636800.5,NULL,NULL,NULL,2);
INSERT INTO "tracks" VALUES(7,'saved','{"Saved": {"music_task_id": "x", "state": "WA"}, "Saved, by another name": {}}',4,'c-saved',0,'["https://images.example/saved-1.png?a=%20&b=\u00fc", "https://images.example/saved-2.png"]',1777636758.75,1777636800.5,'["covers/Saved 1.png", "covers/Saved 2.png", "covers/S\u00f6ng \ud83c\udfb5-1.png", "covers/b.png"]',NULL,NULL,0);
INSERT INTO "tracks" VALUES(8,'saved-and-named-again','{"Once": {}, "Twice": {"year": 1999}}',3,'c-saved-and-named-again',0,'["https://images.example/saved-and-named-again-1.png?a=%20&b=\u00fc", "https://images.example/saved-and-named-again-2.png"]',1777636758.75,1777636800.5,'["covers/Once-1.png", "covers/Once-2.png"]',NULL,NULL,0);
INSERT INTO "tracks" VALUES(9,'failed','{"line\nbreak\ttab \ud800": {}}',5,'c-failed',0,NULL,NULL,NULL,NULL,'CoverFailedError','cover task c-failed-and-retried failed: no',0);
INSERT INTO "tracks" VALUES(10,'failed-without-a-task','{"": {}}',5,NULL,0,NULL,NULL,NULL,NULL,'ServerError','down
?',0);
INSERT INTO "tracks" VALUES(11,'attention','{"": {}}',6,'c-attention',0,NULL,NULL,NULL,NULL,'ServerError','not found',0);
INSERT INTO "tracks" VALUES(12,'attention-without-a-task','{"=1+1": {}}',6,NULL,0,NULL,NULL,NULL,NULL,'ValueError','whose?',0);
INSERT INTO "tracks" VALUES(13,'failed-and-retried','{"Again": {}}',1,'c-failed-and-retried',0,NULL,NULL,NULL,NULL,NULL,NULL,0);
CREATE INDEX tracks_by_state ON tracks (state, number);
CREATE INDEX tracks_by_age ON tracks (completed_at) WHERE state = 3;
COMMIT;
