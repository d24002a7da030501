import http.client
import sys
import types
import urllib.error
import urllib.request

import pytest

import tfvision
from tfvision.apps.explorer import notebook
from tfvision.apps.explorer.session import Session
from tfvision.errors import DataError


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No work in the background, and nothing left open."""
    monkeypatch.setattr(Session, "start", lambda self: self)
    yield
    for explorer in list(notebook._open.values()):
        explorer.close()


def _get(address, path="", **headers):
    return urllib.request.urlopen(urllib.request.Request(address + path, headers=headers), timeout=60)


def test_outside_a_notebook_the_page_is_served_at_the_address_until_closed(make_gallery):
    explorer = tfvision.explorer.show(make_gallery())
    address = str(explorer)
    assert address == explorer.address and address.startswith("http://127.0.0.1:")
    with _get(address) as page:  # without a cookie: a frame has none
        policy = page.headers["content-security-policy"]
        assert b"<main" in page.read() and "frame-ancestors http://localhost:*" in policy and "'none'" not in policy.partition("frame-ancestors")[2]
    with _get(address, "api/status") as status:
        assert b'"count": 6' in status.read()
    for wrong in (address.rsplit("/", 2)[0] + "/", address[:-4] + "/", address[:-4] + "/api/status"):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            _get(wrong)
    explorer.close()
    explorer.close()  # twice does no harm
    with pytest.raises((urllib.error.URLError, http.client.HTTPException, OSError)):
        _get(address)


def test_a_second_call_reuses_the_server_and_after_a_close_begins_another(make_gallery, tmp_path):
    location = make_gallery()
    first = tfvision.explorer.show(location)
    assert tfvision.explorer.show(str(location) + "/", height=400) is first and first.height == 400
    other = tfvision.explorer.show(location, state=tmp_path / "state")
    assert other is not first and other.address != first.address
    first.close()
    assert tfvision.explorer.show(location).address != first.address


def test_a_text_model_is_taken_as_the_command_takes_it(make_gallery, tmp_path):
    with pytest.raises(DataError, match="--text-model takes a folder with two towers"):
        tfvision.explorer.show(make_gallery(), text_model=tmp_path / "nowhere")


def test_what_another_site_sends_is_refused(make_gallery):
    address = tfvision.explorer.show(make_gallery()).address
    request = urllib.request.Request(address + "api/tag", b'{"tag": "x", "places": [0]}', {"Origin": "http://localhost:8888"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=60)


def test_in_a_notebook_it_is_framed_once_a_cell(make_gallery, monkeypatch):
    shown, shell = [], types.SimpleNamespace(kernel=object(), execution_count=1)
    frame = lambda src, width, height, extras: (src, width, height, extras)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(IFrame=frame, display=shown.append))
    explorer = tfvision.explorer.show(make_gallery(), height=500)
    explorer._ipython_display_()  # as IPython does with a cell's result
    assert shown == [(explorer.address, "100%", 500, ['allow="clipboard-write"', 'title="tfvision explorer"'])]
    shell.execution_count = 2
    explorer._ipython_display_()
    assert len(shown) == 2
