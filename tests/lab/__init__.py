"""The lab: throwaway hosts, an outside world, real Docker engines, and packets between them.

Everything lives in namespaces that are born and die with one process, so nothing is left behind
and the machine's own firewall is never touched. Root is needed.

    from tests.lab.host import Host
    from tests.lab.place import Probe, probe

    with Host() as host:                                  # up in some 0.1 s
        host.bridge("br-shop", "172.18.0.1/16", "fd00:18::1/64")
        web = host.container("web", {"br-shop": ("172.18.0.2/16", "fd00:18::2/64")})
        web.listen("80/tcp", "53/udp")                    # answers with its own name: web
        outside = host.outside                            # 203.0.113.2, .9, 198.51.100.7, ...
        assert outside.tcp("172.18.0.2", 80).text == "web"
        host.run(["iptables", "-A", "FORWARD", "-d", "172.18.0.2", "-j", "DROP"])
        assert outside.tcp("172.18.0.2", 80).outcome == "silent"

    with Host() as host, Engine(host, "20.10") as engine:  # or "26.1", "28.5": tests.lab.engine
        db = engine.container("db", "-p", "5432:5432", env={"PORT": "5432"})
        assert host.outside.tcp("203.0.113.1", 5432).text == "db"
        host.write("/etc/dockerfw/config.toml", POLICY)
        host.dockerfw("apply", "--yes")                   # python -m dockerfw, in that host

**Host** (`host.py`) has a network, mount and process namespace of its own, with its own /run,
/etc, /var/lib and /var/lib/docker (writes are private to it; /etc is the machine's, copied on
write). Nothing of it is ever on the machine's disk.

* ``Host(rp_filter=0, bridge_calls=False, flavour="nft")``; ``bridge_calls`` is br_netfilter.
* ``run(argv, stdin=None, timeout=60, check=True, env=None)`` -> CompletedProcess[str];
  ``start(argv)`` -> Popen (ended with the host); ``dockerfw(*arguments, **as for run)``;
  ``write(path, text, mode=0o644)``, ``read(path)``, ``path(path)`` (its files from out here);
  ``sysctl(name, value)``.
* ``bridge(name, *gateways)``; ``container(name, {bridge: (address/length, ...)})``: a namespace
  on that bridge, with the gateway as default route; ``by_docker=False``: a VM,
  by its interface. Names of containers are unique in a host;
  ``outside``: the world, see below.

**Place** (`place.py`) is a network namespace with a name: the host itself, the outside, a
container, and a real engine's container. All have:

* ``listen(*ports, address="::")``: "80/tcp"; answers with the place's name; ``quiet()`` ends it;
  ``received()``: what came to its listeners since the last call, with the source address.
* ``tcp(address, port, source=None)``, ``udp(…)``, ``ping(address)`` -> `Answer`: ``outcome`` is
  "answered" (then ``text`` is the name of who answered), "connected" (TCP accepted, nobody
  spoke), "refused", "unreachable" or "silent"; ``reached`` is True for the first two.
* ``flow(protocol, address, port)`` -> `Flow`: a connection that stays; ``ask()`` -> did an
  answer come; ``close()``.
* ``forge(Packet(...), via="eth0", mac=None, tags=b"", own_mac=None)``: any packet onto the wire,
  in a frame with these tags and from this MAC; ``sniff(interface)`` -> `Sniffer`; ``seen()`` -> the
  packets that arrived, as `Packet`.
* ``hammer((address, port[, source]), …)`` -> `Hammer`: connects as fast as it can in a process
  of its own; ``count()`` so far; ``go_on(tries=600)``: so many tries more; ``stop()`` -> `Blows`
  (tries, accepted).
* ``run`` and ``start`` as a host has, in this place's network.

``probe([Probe(place, "tcp", "172.18.0.2", 80), …], patience=1.0)`` sends all at once and takes
as long as its patience, in seconds, if one stays silent. Silence is judged by the clock, so
`patient` (gives the answers) and `disagreements` (gives sentences) ask again, and longer, where
an answer was expected and none came: use one of them for tables.

**Outside** (`host.outside`) is joined to the host by eth0 to eth0: the host is 203.0.113.1 and
2001:db8:1::1; the outside has 203.0.113.2 and .9, 198.51.100.7, 192.0.2.7, 2001:db8:1::2 and
::9, 2001:db8:10::7, 2001:db8:20::7; ``add(address)`` gives it more;
``syn(address, port, source=…)`` is a hand-made SYN to the host's MAC, from any source to any
destination (127.0.0.1 by a neighbour): did a SYN-ACK come. The host routes back to all of them;
the outside routes 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and fd00::/8 through the host: the
neighbour who goes straight to container addresses.

**Engine** (`engine.py`) is dockerd in a host: "20.10" is the machine's own; "26.1" and "28.5"
run in Debian roots that `roots.py` makes once into /var/cache/dockerfw-lab
(``DOCKERFW_LAB_CACHE``). dockerfw always runs with the machine's python, iptables, ipset and
nft, against the same kernel.

* ``Engine(host, version="20.10", *dockerd_options)``; ``start()``, ``stop()``, ``kill()``
  (SIGKILL), ``restart()``; ``log()``; ``socket``: its API, from the machine's side.
* ``docker(*arguments, check=True)`` -> its output; ``container(name, *run_options, env={},
  command=())`` -> a `Place` with ``ipv4``, ``ipv6``, ``id``; it answers on port 80 (``PORT``)
  with its name, and ``listen()`` gives it more. ``refresh()`` after a restart of the container.

**Firewalld** (`firewalld.py`) is firewalld under a D-Bus of its own in a host: "1.3" is the
machine's own; "2.3" runs in a root of its own. Start it before the engine that is to know it.

    with Host() as host, Firewalld(host, "1.3") as firewalld, Engine(host, "20.10") as engine:
        assert firewalld.knows("docker0")                 # Docker and firewalld found each other
        firewalld.reload()                                # Docker's rules and ours are flushed

* ``Firewalld(host, version="1.3", backend="nftables")``, or "iptables"; ``start()``, ``stop()``,
  ``restart()``; ``stopped``; ``reload()``, ``complete_reload()``; ``cmd("--get-active-zones")`` is
  ``firewall-cmd``; ``knows(interface)``; ``log()``.

**Composed** (`image.py`) is the image of ``packaging/docker``, by its compose file; ``build`` makes
that image in an engine.

**Daemon** (`daemon.py`) is ``dockerfw daemon`` in a host; **SlicedEngine** (`cgroups.py`) is an
engine in ``dockerd.slice``, as the drop-in of the units has it; **Machine** (`boot.py`) is a Debian
that boots with systemd as its PID 1; **Controller** (`controller.py`) is the host from which
Ansible comes to such machines by ssh.
"""
