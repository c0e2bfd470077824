"""What the OpenSSH client says, as errors with a mend: the only place that knows its words (OpenSSH 7 to 9)."""

from __future__ import annotations

from edgebench.errors import DeviceError, DeviceLost, DeviceNotFound, DeviceRefused, DeviceUnauthorized
from edgebench.transport.messages import Rule, first_meaning

# In order: the first that fits is the cause.
_RULES = (
    Rule(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|host key for .* has changed|POSSIBLE DNS SPOOFING",
        DeviceRefused,
        "{device} has another host key than it had: either it was set up anew, or something else answers in its place",
        "where it was set up anew, forget the old key by `ssh-keygen -R` with its name or address (for a port: '[HOST]:PORT'), "
        "then compare and accept the new one by: ssh {device}",
    ),
    Rule(
        r"host key verification failed|no \S+ host key is known for|host key is not in|authenticity of host",
        DeviceRefused,
        "{device} is not known to this computer: its host key was never accepted",
        "connect to it once by hand, compare the fingerprint that it shows and accept it: ssh {device}",
    ),
    Rule(
        r"permission denied|too many authentication failures|no more authentication methods|account is locked",
        DeviceUnauthorized,
        "{device} lets nobody in with the keys of this computer",
        "bring a key there by `ssh-copy-id`, load it by `ssh-add`, or name user and key in your ssh configuration; a password "
        "cannot be asked for here",
    ),
    Rule(
        r"bad configuration option|bad owner or permissions|terminating, \d+ bad configuration|unprotected private key",
        DeviceRefused,
        "the ssh client does not accept its own configuration: {said}",
        "mend the file that it names, then try: ssh {device}",
    ),
    Rule(
        r"no matching (host key type|key exchange method|cipher|mac) found|unable to negotiate",
        DeviceRefused,
        "{device} and this computer have no method in common: {said}",
        "allow for it in your ssh configuration what it offers; for an old board: HostKeyAlgorithms +ssh-rsa",
    ),
    Rule(
        r"open failed|session request failed|administratively prohibited",
        DeviceRefused,
        "{device} does not give another session over one connection",
        "allow several sessions for a connection in its sshd_config (MaxSessions, 10 as it comes), and restart its sshd",
    ),
    Rule(
        r"could not resolve hostname|name or service not known|no address associated",
        DeviceNotFound,
        "there is no host {device}",
        "say which machine by --serial [user@]host[:port], or give that name an entry in your ssh configuration",
    ),
    Rule(
        r"connect to host|connection refused|no route to host|network is unreachable|host is down|^connection timed out",
        None,
        "nothing answers at {device}: {said}",
        "check that it is on, in the same network and runs an sshd at that port",
    ),
    Rule(
        r"server .* not responding|connection to .* timed out|broken pipe|connection reset|connection to .* closed"
        r"|connection closed by|closed by remote host|client_loop|read from socket failed",
        None,
        "{device} ended the connection or does not answer any more",
        "check that it is on, its network, and that its sshd runs and allows more sessions (MaxStartups, MaxSessions)",
    ),
    Rule(
        r"mux_client|control socket|master is dead",
        DeviceLost,
        "the shared connection to {device} broke",
        "try again",
    ),
)


def ssh_error(said: str, device: str, *, answered: bool, by_hand: str | None = None) -> DeviceError:
    """The error for what ssh said when it failed.

    ``device`` is how it was asked for, ``by_hand`` the same as arguments of ssh, and ``answered`` says that it did answer
    before, which makes an absent one a lost one.
    """
    by_hand = by_hand or device
    lines = [line.strip() for line in said.splitlines() if line.strip(" @\t\r\n")]
    if meant := first_meaning(_RULES, "\n".join(lines), device, answered=answered, by_hand=by_hand):
        return meant
    last = lines[-1] if lines else "nothing, and failed"
    if answered:
        return DeviceLost(f"{device} was lost: ssh said {last}", hint=f"try by hand: ssh {by_hand}")
    return DeviceError(f"ssh said of {device}: {last}", hint=f"try by hand: ssh {by_hand}")
