from __future__ import annotations

from sandboxes import need


def test_the_image_is_made_once(run) -> None:
    need("docker")
    assert run("sandbox-image").stdout == "agentgym-sandbox:latest: there already\n"


def test_without_a_daemon(run, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    error = run("sandbox-image", code=1).stderr
    assert error.startswith("error: sandbox: the Docker daemon does not answer")
    assert error.endswith("start it with: sudo systemctl start docker\n")
