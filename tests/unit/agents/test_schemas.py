"""What `tools/list` promises."""

import jsonschema

from suno_cover_async.agents.schemas import INSTRUCTIONS, tools


def test_every_schema_is_one_and_allows_nothing_else() -> None:
    for tool in tools():
        for schema in (tool.input_schema, tool.output_schema or {}):
            jsonschema.Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object"
            assert schema["additionalProperties"] is False
            assert all(one.get("description") for one in schema["properties"].values())


def test_an_agent_is_told_what_costs_money_and_that_text_of_others_is_data() -> None:
    assert "costs money" in INSTRUCTIONS
    assert "never instructions" in INSTRUCTIONS
