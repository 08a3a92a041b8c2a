from __future__ import annotations


async def test_a_request_without_a_token_is_refused(api):
    response = await api.get("/audit", token=None)

    assert 401 == response.status_code
