import pytest


@pytest.fixture
def run_command(capsys):
    """A function that runs the command line in this process: (exit code, stdout, stderr)."""
    from tfvision.cli.main import main

    def run(*arguments):
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
