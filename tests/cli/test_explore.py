import socket


def test_a_port_in_use_is_one_clear_line(run_command, colour_gallery):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        code, out, err = run_command("explore", colour_gallery, "--no-browser", "--port", other.getsockname()[1])
    assert code == 1 and out == "" and "another program has it" in err and "Traceback" not in err


def test_a_place_that_is_nothing_is_told(run_command, tmp_path):
    code, _, err = run_command("explore", tmp_path / "nowhere", "--no-browser")
    assert code == 1 and "does not exist: give a folder of photos, a manifest.csv or a gallery" in err
    (tmp_path / "empty").mkdir()
    code, _, err = run_command("explore", tmp_path / "empty", "--no-browser", "--port", "0")
    assert code == 1 and "holds no photos" in err
