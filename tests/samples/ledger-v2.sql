-- A ledger of version 2, as the software of that version made it.
BEGIN TRANSACTION;
CREATE TABLE base_urls (base_url TEXT PRIMARY KEY) STRICT;
INSERT INTO "base_urls" VALUES('https://api.sunoapi.org');
CREATE TABLE choices (
        number INTEGER PRIMARY KEY REFERENCES tracks,
        decision TEXT NOT NULL CHECK (decision IN ('image', 'neither', 'later')),
        image INTEGER,
        revision INTEGER NOT NULL,
        decided_at REAL NOT NULL
    ) STRICT;
CREATE TABLE ledger (account TEXT, catalog TEXT) STRICT;
INSERT INTO "ledger" VALUES('0123456789abcdef','fingerprint');
CREATE TABLE runs (
        number INTEGER PRIMARY KEY,
        began_at REAL NOT NULL,
        ended_at REAL,
        balance_before REAL,
        balance_after REAL,
        submitted INTEGER NOT NULL DEFAULT 0,
        adopted INTEGER NOT NULL DEFAULT 0
    ) STRICT;
INSERT INTO "runs" VALUES(1,1.79579353887510204321e+09,1.79579353889666891094e+09,100.0,88.0,7,0);
CREATE TABLE tracks (
        number INTEGER PRIMARY KEY,
        music_task_id TEXT NOT NULL UNIQUE,
        names TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN (
            'waiting', 'submitting', 'submitted', 'covered', 'saved', 'failed', 'attention'
        )),
        cover_task_id TEXT,
        adopted INTEGER NOT NULL DEFAULT 0,
        images TEXT NOT NULL DEFAULT '[]',
        created_at REAL,
        completed_at REAL,
        files TEXT NOT NULL DEFAULT '[]',
        saved_on TEXT,
        error TEXT,
        reason TEXT,
        submits INTEGER NOT NULL DEFAULT 0,
        retried INTEGER NOT NULL DEFAULT 0,
        put_off INTEGER
    ) STRICT;
INSERT INTO "tracks" VALUES(1,'m1','{"S\u00f6ng 1": {"artist": "Ann"}}','waiting',NULL,0,'[]',NULL,NULL,'[]',NULL,NULL,NULL,0,0,NULL);
INSERT INTO "tracks" VALUES(2,'m2','{"S\u00f6ng 2": {"artist": "Ann"}}','submitting',NULL,0,'[]',NULL,NULL,'[]',NULL,NULL,NULL,1,0,NULL);
INSERT INTO "tracks" VALUES(3,'m3','{"S\u00f6ng 3": {"artist": "Ann"}}','submitted','c3',0,'[]',NULL,NULL,'[]',NULL,NULL,NULL,1,0,NULL);
INSERT INTO "tracks" VALUES(4,'m4','{"S\u00f6ng 4": {"artist": "Ann"}}','covered','c4',0,'["https://images.example/4-1.png", "https://images.example/4-2.png"]',1777636759.0,1777636800.0,'[]',NULL,NULL,NULL,1,0,NULL);
INSERT INTO "tracks" VALUES(5,'m5','{"S\u00f6ng 5": {"artist": "Ann"}}','saved','c5',0,'["https://images.example/5-1.png", "https://images.example/5-2.png"]',1777636759.0,1777636800.0,'["covers/5-1.png", "covers/5-2.png"]','a-machine',NULL,NULL,1,0,NULL);
INSERT INTO "tracks" VALUES(6,'m6','{"S\u00f6ng 6": {"artist": "Ann"}}','failed','c66',0,'["https://images.example/6-1.png", "https://images.example/6-2.png"]',1777636759.0,1777636800.0,'[]',NULL,'CoverFailedError','cover task c66 failed: the API gave no reason',2,0,NULL);
INSERT INTO "tracks" VALUES(7,'m7','{"S\u00f6ng 7": {"artist": "Ann"}}','submitted','c7',0,'["https://images.example/7-1.png", "https://images.example/7-2.png"]',1777636759.0,1777636800.0,'[]',NULL,NULL,NULL,1,0,NULL);
INSERT INTO "tracks" VALUES(8,'m8','{"S\u00f6ng 8": {"artist": "Ann"}}','covered','c8',0,'["https://images.example/8-1.png", "https://images.example/8-2.png"]',1777636759.0,1777636800.0,'[]',NULL,NULL,NULL,1,0,1);
CREATE INDEX tracks_by_state ON tracks (state, number);
CREATE INDEX tracks_by_age ON tracks (completed_at) WHERE state = 'covered';
COMMIT;
PRAGMA application_id = 1396920150;
PRAGMA user_version = 2;
