"""The edge to the kernel: everything here starts a program or reads ``/proc``, nothing else does.

``run.py`` starts processes; ``iptables.py``, ``ipset.py`` and ``seal.py`` read and write what
dockerfw owns; ``facts.py`` looks at the host. No policy is known here.
"""
