import type { Attack } from "../attack.ts";

const NETWORK = "network namespace with nothing but a loopback of its own";

/** Out by the network, and to services of this machine. */
export const networkAttacks: Attack[] = [
  {
    id: "host-loopback",
    title: "talks to a service on the host's loopback (daemon, PostgreSQL, Chroma)",
    by: NETWORK,
    script: "exec 3<>/dev/tcp/127.0.0.1/$PORT && cat <&3",
    control: "user",
    sample: true,
  },
  {
    id: "dns-exfiltration",
    title: "sends a datagram with a secret, as to a name server",
    by: NETWORK,
    script: "./probe datagram 127.0.0.1 $UDP exfiltrated-$MARK; sleep 0.2",
    control: "user",
    judge: ({ world, mark }) => world.datagrams.includes(`exfiltrated-${mark}`),
  },
  {
    id: "unix-socket",
    title: "talks to a Unix socket of the host (daemon, Docker, agent of SSH)",
    by: "mount namespace: it is not there",
    script: 'socat -T2 - "UNIX-CONNECT:$SOCKET" < /dev/null',
    control: "user",
  },
  {
    id: "abstract-socket",
    title: "talks to an abstract socket of the host",
    by: NETWORK,
    script: 'socat -T2 - "ABSTRACT-CONNECT:$ABSTRACT" < /dev/null',
    control: "user",
  },
  {
    id: "descriptor-passing",
    title: "is handed an open file of the host's over a socket",
    by: "mount namespace: no socket of the host is there",
    script: './probe pass-take "$PASS"',
    control: "user",
  },
  { id: "raw-socket", title: "opens a raw socket (ICMP)", by: "no capability", script: "./probe raw", control: "namespace" },
  {
    id: "icmp-socket",
    title: "sends a machine outside an echo request (ICMP)",
    by: `${NETWORK}: there is no way to it`,
    script: "./probe echo 169.254.169.254",
    openly:
      "ip link set lo up; ip address add 169.254.169.254/32 dev lo; echo 0 0 > /proc/sys/net/ipv4/ping_group_range; ./probe echo 169.254.169.254",
    control: "namespace",
  },
  { id: "packet-socket", title: "opens a packet socket", by: "seccomp, no capability", script: "./probe packet", control: "namespace" },
  { id: "vsock", title: "opens a socket to the machine's own host", by: "seccomp", script: "./probe vsock", control: "user" },
  {
    id: "new-link",
    title: "changes a network device",
    by: "no capability",
    script: "ip link set lo mtu 1400 && echo THROUGH",
    control: "namespace",
  },
];
