import types

from tfvision import progress


def test_a_line_now_and_then_says_what_is_left_where_stderr_is_no_terminal(monkeypatch, capsys):
    now = 0.0
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 30)  # other tests have none
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: now))
    with progress.progress_bar("photos", 110, done=10) as bar:
        for now in (10.0, 31.0, 40.0):
            bar.advance(10, f"{now}.jpg")
    assert capsys.readouterr().err == "photos: 30 of 110, 2 min left  31.0.jpg\n"  # 20 took 31 s, so 80 take 124 s
