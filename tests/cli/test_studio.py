import socket


def test_a_port_that_is_taken_is_told(run_command):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        code, out, err = run_command("studio", "--port", str(other.getsockname()[1]), "--no-browser")
    assert (code, out) == (1, "") and "another program has it; choose another with --port" in err and "Traceback" not in err


def test_the_help_has_examples(run_command):
    code, out, _ = run_command("studio", "--help")
    assert code == 0 and "tfvision studio --module" in out
