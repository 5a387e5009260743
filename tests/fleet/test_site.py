"""A wish for devices is checked before anything slow begins, with and without Ray."""

import socket
import subprocess
import sys
import threading
import time

import pytest

from paretosearch.errors import DeviceError, UsageError
from paretosearch.fleet import site
from paretosearch.fleet.site import LocalSite, Wish, open_site
from paretosearch.testing.raycluster import why_no_ray

needs_ray = pytest.mark.skipif(why_no_ray() is not None, reason=str(why_no_ray()))


@pytest.mark.parametrize(
    ("wish", "allowed"),
    [
        (Wish(cpu="2x"), "allowed: 2, or 2x4"),
        (Wish(cpu="2x", fleet="ray"), "allowed: 2, or 2x4"),
        (Wish(gpus="0;id", fleet="ray"), "allowed: 0,1,2,3 or all"),
        (Wish(gpus="1,1", fleet="ray"), "names a GPU twice"),
        (Wish(ray_address="head:6379"), "add --fleet ray"),
    ],
)
def test_a_wish_that_cannot_be_meant_is_refused(wish: Wish, allowed: str) -> None:
    with pytest.raises(UsageError, match=allowed):
        wish.check()


def test_without_ray_a_launch_on_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'paretosearch\[ray\]'"):
        open_site(Wish(fleet="ray"), print)


def test_a_local_launch_imports_no_ray() -> None:
    program = "import sys, paretosearch.api.launching; print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_local_devices_are_taken_and_given_back() -> None:
    here = LocalSite(Wish(cpu="1"))
    assert (here.has_gpus, here.devices) == (False, ())
    here.reserve()
    assert len(here.devices) == 1
    here.close()


@needs_ray
@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("127.0.0.1:1", DeviceError),
        ("no-such-host.invalid:6379", DeviceError),
        ("ray://head:10001", UsageError),
        ("head", UsageError),
        ("head:99999", DeviceError),
    ],
)
def test_a_cluster_that_is_not_there_is_said_in_one_line_and_soon(address: str, error: type[Exception]) -> None:
    begin = time.monotonic()
    with pytest.raises(error, match=r"no Ray cluster at .* start one with ray start --head|allowed: HOST:PORT") as said:
        open_site(Wish(fleet="ray", ray_address=address), print)
    assert "\n" not in str(said.value)
    assert time.monotonic() - begin < 30


@needs_ray
@pytest.mark.parametrize("greeting", [b"SSH-2.0-server\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_another_server_at_the_address_is_told_from_ray_at_once(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(greeting)

        greeter = threading.Thread(target=greet)
        greeter.start()
        with pytest.raises(DeviceError, match=f"no Ray cluster at 127.0.0.1:{port} .*(is not Ray|reset)"):
            open_site(Wish(fleet="ray", ray_address=f"127.0.0.1:{port}"), print)
        greeter.join()


@needs_ray
@pytest.mark.parametrize(
    ("rays", "ours"),
    [
        ("Could not find any running Ray instance. Please", "there is no Ray cluster on this machine; start one with"),
        ("Found multiple active Ray instances: {'a', 'b'}.", "there are several Ray clusters on this machine; name"),
    ],
)
def test_options_of_rays_own_programs_are_not_quoted(monkeypatch: pytest.MonkeyPatch, rays: str, ours: str) -> None:
    import ray

    from paretosearch.fleet.nodes import connect

    def init(**_: object) -> None:
        raise ConnectionError(f"{rays} specify the one to connect to by setting the `--address` flag.")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(DeviceError, match=f"^{ours}.* --ray-address HOST:PORT$") as said:
        connect(None)
    assert "flag" not in str(said.value)


@needs_ray
def test_a_cluster_of_another_python_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    from paretosearch.fleet.nodes import connect

    def init(**_: object) -> None:
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: 3.12.1\n")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(DeviceError, match=r"is of other programs \(.* Python: 3.12.1\); install the same") as said:
        connect(None)
    assert "\n" not in str(said.value)
