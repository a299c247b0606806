"""Who may do what, and who holds the stage."""

from __future__ import annotations

import pytest
from serving import closed_with, listening, playing_tape, say, text

from engine.controls import default_controls
from engine.spec import LadderSpec
from engine.wire.actions import KeepState, SetControl, SetPrompts
from engine.wire.roles import ROLES, Tokens, forbidden

CONTROLS = {one.name: one for one in default_controls(LadderSpec(10, 1, ()))}
HAND, IDEA = SetControl("gain_db", 0.0, None), SetControl("seed", 0.0, None)
THREE = {"listener_token": "ear", "performer_token": "hand", "conductor_token": "baton"}


def test_without_tokens_everybody_conducts() -> None:
    assert Tokens().role(None) == Tokens().role("what") == "conductor"
    assert Tokens().shared and not Tokens().required and Tokens().conducts is None


def test_the_token_for_everybody_is_needed_and_opens_everything() -> None:
    tokens = Tokens("all", performer="hand")
    assert (tokens.role("all"), tokens.role("hand"), tokens.role(None)) == (
        "conductor", "performer", None,
    )  # fmt: skip
    assert tokens.required and tokens.conducts == "all"


def test_a_role_that_asks_for_a_token_leaves_the_others_to_listen() -> None:
    tokens = Tokens(conductor="baton")
    assert (tokens.role("baton"), tokens.role("what"), tokens.role(7)) == (
        "conductor", "listener", "listener",
    )  # fmt: skip
    assert not tokens.required and tokens.conducts == "baton"
    assert Tokens(listener="ear").role("\ud800") is None


@pytest.mark.parametrize(("role", "allowed"), [("listener", 0), ("performer", 1), ("conductor", 4)])
def test_what_each_role_may(role: str, allowed: int) -> None:
    changes = (HAND, IDEA, SetPrompts((), None), KeepState("save", "a", None))
    found = [forbidden(role, one, CONTROLS) is None for one in changes]  # type: ignore[arg-type]
    assert found == [True] * allowed + [False] * (4 - allowed)
    assert role in ROLES


async def test_each_gets_the_role_of_its_token() -> None:
    async with playing_tape(**THREE) as tape:
        for token, role in (("ear", "listener"), ("hand", "performer"), ("baton", "conductor")):
            async with listening(tape.url, token=token) as one:
                assert one.hello["token_required"]
                start = await text(one, "start")
                assert (start["role"], start["stage"]) == (role, None)
                await say(one, type="set", id=1, name="gain_db", value=-1)
                gain = await text(one, "ack", "error")
                assert gain["type"] == "error" if role == "listener" else "ack"
                await say(one, type="set", id=2, name="seed", value=1)
                seed = await text(one, "ack", "error")
                wanted = "ack" if role == "conductor" else "error"
                assert (seed["type"], seed["id"]) == (wanted, 2)
                assert seed.get("code", "not_allowed") == "not_allowed"
        async with listening(tape.url) as nobody:
            assert (await text(nobody, "error"))["code"] == "bad_token"
            assert await closed_with(nobody) == 4401


async def test_the_newer_conductor_is_told_who_holds_the_stage_and_follows() -> None:
    async with (
        playing_tape(conductor_token="baton") as tape,
        listening(tape.url, token="baton", name="Clara") as first,
        listening(tape.url, token="baton") as second,
    ):
        assert (await text(first, "start"))["stage"] is None
        assert (await text(second, "start"))["stage"] == "Clara"
        await say(second, type="set", id=1, name="seed", value=1)
        told = await text(second, "ack", "error")
        assert told["code"] == "stage_held" and "Clara" in told["message"]
        await say(second, type="set", id=2, name="gain_db", value=-1)
        assert (await text(second, "ack", "error"))["type"] == "ack"
        await first.close()
        while tape.server.connections > 1:
            await text(second, "state")
        await say(second, type="set", id=3, name="seed", value=1)
        assert (await text(second, "ack", "error"))["type"] == "ack"


async def test_who_names_nothing_listens_where_only_conductors_have_a_token() -> None:
    async with playing_tape(conductor_token="baton") as tape, listening(tape.url) as one:
        assert not one.hello["token_required"]
        assert (await text(one, "start"))["role"] == "listener"
