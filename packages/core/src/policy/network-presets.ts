import type { NetworkRule } from "./network-rule.ts";

type Preset = readonly Omit<NetworkRule, "id">[];

const READ = ["GET", "HEAD"] as const;
const read = (...hosts: string[]): Preset => hosts.map((host) => ({ host, methods: READ }));

/** What package registries and the like need for reading; none of them lets anything be published. */
export const NETWORK_PRESETS = {
  npm: [...read("registry.npmjs.org"), { host: "registry.npmjs.org", methods: ["POST"], paths: ["/-/npm/v1/security/*"] }],
  pypi: read("pypi.org", "files.pythonhosted.org"),
  crates: read("index.crates.io", "static.crates.io", "crates.io"),
  go: read("proxy.golang.org", "sum.golang.org"),
  rubygems: read("rubygems.org", "index.rubygems.org"),
  maven: read("repo1.maven.org", "repo.maven.apache.org"),
  nuget: read("api.nuget.org"),
  debian: read("deb.debian.org", "security.debian.org").map((rule) => ({ ...rule, plain: true })),
  nixos: read("cache.nixos.org", "channels.nixos.org", "releases.nixos.org"),
  github: [
    ...read("github.com", "codeload.github.com", "raw.githubusercontent.com", "objects.githubusercontent.com"),
    { host: "github.com", methods: ["POST"], paths: ["*/git-upload-pack"] },
  ],
} as const satisfies Record<string, Preset>;

export type NetworkPreset = keyof typeof NETWORK_PRESETS;

/** The rules of a preset, called by its name. */
export function presetRules(name: NetworkPreset): NetworkRule[] {
  return NETWORK_PRESETS[name].map((rule) => ({ id: name, ...rule }));
}
