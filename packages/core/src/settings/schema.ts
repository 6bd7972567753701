import { z } from "zod";

const count = (description: string, value: number): z.ZodDefault<z.ZodInt> => z.int().min(0).default(value).describe(description);

/**
 * Every setting there is: the one description from which validation, `guild config show` and the documentation come. Two levels, section and
 * key; all have defaults.
 */
export const settingsSchema = z.strictObject({
  model: section({
    default: z.string().default("").describe("Model of sessions that name none: provider/model. Empty: the first that is at hand."),
    base_url: z.string().default("").describe("Base URL for model.default where it is an openai-compatible one."),
    text_tools: z
      .string()
      .default("")
      .describe("Models that cannot call functions, separated by commas; * stands for any text. Tools are told to them as text."),
  }),
  limits: section({
    max_steps: count("Steps after which a session stops; 0: no limit.", 500),
    max_tokens: count("Tokens, read and written, after which a session stops; 0: no limit.", 0),
    max_cost_usd: z.number().min(0).default(0).describe("US dollars after which a session stops; 0: no limit."),
    max_seconds: count("Seconds of wall time after which a session stops; 0: no limit.", 0),
  }),
  approval: section({
    judge: z
      .string()
      .default("")
      .describe("Model that judges the risk of actions, beside the analysis; the higher risk counts. Empty: none."),
  }),
  delegation: section({
    max_depth: count("How deep agents may hand on work; 0: they may not.", 1),
    max_agents: count("Agents that may work for one session at the same time.", 4),
  }),
  context: section({
    summaries: z.boolean().default(true).describe("The model writes what stands in place of old history (routes.condense: another one)."),
    max_events: count("Messages, replies and notices beyond which old history is condensed; 0: only its size counts.", 0),
  }),
  sandbox: section({
    provider: z
      .string()
      .default("bubblewrap")
      .describe("Isolation provider: bubblewrap, docker, kubernetes, or host (no isolation at all)."),
    docker_host: z.string().default("").meta({
      description: "Where the Docker engine of `docker` sandboxes listens; empty: unix:///var/run/docker.sock.",
      variable: "DOCKER_HOST",
    }),
    docker_image: z
      .string()
      .default("")
      .describe("Image of `docker` sandboxes; empty: this machine's programs, read-only, and nothing is pulled."),
    warm: z
      .number()
      .int()
      .min(0)
      .max(16)
      .default(2)
      .describe("Sandboxes kept prepared for the next sessions (`bubblewrap`), a few hundred kilobytes each; 0: none."),
    docker_runtime: z.string().default("").describe("Runtime of `docker` sandboxes; empty: runsc (gVisor) where the engine has it."),
    kubernetes_api: z
      .string()
      .default("")
      .describe("API server of `kubernetes` sandboxes, https://host:port; empty: that of the cluster in which the worker runs."),
    kubernetes_credentials: z
      .string()
      .default("")
      .describe("Directory with token, ca.crt and namespace for that server; empty: the worker's service account."),
    kubernetes_namespace: z.string().default("").describe("Namespace of `kubernetes` sandboxes; empty: the credentials' own."),
    kubernetes_image: z.string().default("").describe("Image whose system `kubernetes` sandboxes have; empty: kubernetes_toolkit_image."),
    kubernetes_toolkit_image: z
      .string()
      .default("")
      .describe("Image of this worker, from which `kubernetes` sandboxes take our tools; empty: kubernetes_image."),
    kubernetes_volume: z
      .string()
      .default("")
      .describe("Volume claim that workers and `kubernetes` sandboxes share, CLAIM:/path where the worker has it."),
    kubernetes_owner: z
      .string()
      .default("")
      .describe("The worker's own pod, NAME/UID: its `kubernetes` sandboxes go with it. Empty: they end by themselves."),
    cpus: z.number().min(0).default(0).describe("CPU cores a sandbox may use; 0: all."),
    memory_mib: count("Memory a sandbox may use, MiB; 0: the provider's default.", 0),
    processes: count("Processes a sandbox may hold; 0: the provider's default.", 0),
    file_mib: count("Largest file a process may write, MiB; 0: the provider's default.", 0),
    disk_mib: count("What a sandbox may add to the file system of its workspace, MiB; 0: all but what must be left to others.", 0),
    disk_files: count("The same, in files; 0: no bound.", 0),
    idle_seconds: count("How long the sandbox of a resting session is kept warm.", 300),
  }),
  search: section({
    url: z
      .string()
      .default("")
      .describe("Search service of the tool web_search: a URL that answers in JSON, {query} stands for the query. Empty: none."),
  }),
  environment: section({
    source: z
      .enum(["auto", "nix", "devcontainer", "toolchain", "host"])
      .default("auto")
      .describe("Where the environment of sessions comes from: auto (the best that the project declares), nix, toolchain or host."),
    layers: z
      .array(z.enum(["toolchain"]))
      .default([])
      .describe("Sources laid beneath the chosen one where the project declares them: toolchain. A Nix shell is no longer pure then."),
    language_servers: z
      .array(z.string().regex(/^[a-z][\w+-]*( \.\w+)+ = \S.*$/, "must be `name .ext … = command`"))
      .default([])
      .describe(
        'Language servers besides those that are known, or in their place: "zig .zig = zls". The program is looked for in the sandbox.',
      ),
    feature_registries: z
      .array(z.string().regex(/^[\w.-]+(:\d+)?$/, "must be a host, with a port where it needs one"))
      .default([])
      .describe("Registries from which a trusted devcontainer.json may have features fetched: ghcr.io. Empty: none."),
    nix_program: z
      .string()
      .default("nix")
      .describe("Program that is run as Nix, by name or path: that of Nix itself, of Lix or of Determinate Nix."),
    nix_store: z
      .string()
      .default("")
      .describe(
        "Directory of the Nix store that Guildhall keeps where no Nix daemon runs. Empty: /var/lib/guildhall-nix for root, else with the data.",
      ),
    nix_substituters: z
      .array(z.string())
      .default(["https://cache.nixos.org"])
      .describe("Where Nix may fetch what is built already; empty: nowhere."),
    nix_trusted_keys: z
      .array(z.string())
      .default(["cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="])
      .describe("Keys whose signatures on fetched store paths count."),
    nix_inputs: z
      .array(z.string().regex(/^[A-Za-z][\w-]*=\S+$/, "must be name=flake"))
      .default([])
      .describe(
        "What stands for inputs of flakes, by name: nixpkgs=path:/srv/nixpkgs. A lock file does not hold for flakes that have them.",
      ),
    strict: z
      .boolean()
      .default(true)
      .describe(
        "Refuse actions of a session that comes from elsewhere and whose environment cannot be had here, instead of telling the agent the difference.",
      ),
    advisories: z
      .string()
      .default("")
      .describe("Directory of OSV records, one JSON file each, for audits. Empty: `advisories` with the data."),
    timeout_seconds: count("Seconds after which resolving an environment is given up.", 900),
  }),
  daemon: section({
    idle_minutes: z.number().min(0).default(10).describe("Minutes without sessions and clients after which the daemon ends; 0: never."),
    listen: z.string().default("").describe("TCP address (host:port) to listen on besides the socket; asks for the token. Empty: none."),
    resume_orphans: z.boolean().default(false).describe("Take up sessions again that a crash left without a worker."),
  }),
  services: section({
    orchestrator: z
      .string()
      .default("")
      .describe("Orchestrators that other services join: host:port, several separated by commas. --join overrides it."),
    models: z.string().default("").describe("Models service to use instead of models in this process: host:port."),
    knowledge: z.string().default("").describe("Knowledge service to use instead of knowledge in this process: host:port."),
    token: z
      .string()
      .default("")
      .meta({ description: "Token that services show each other; empty: that of this data directory.", secret: true }),
    hosts: z
      .string()
      .default("")
      .describe("Names under which a service may be asked besides addresses and localhost, separated by commas; *: any."),
    certs: z
      .string()
      .default("")
      .describe("Directory of this service's certificate and its authority (guild certs); empty: plain text on loopback."),
    authority: z
      .string()
      .default("")
      .describe("Directory of the private authority, for an orchestrator that makes certificates for join tokens; empty: it makes none."),
    join_token: z.string().default("").meta({
      description: "Token with which a worker without a certificate gets one, once (guild certs join-token).",
      secret: true,
    }),
  }),
  workers: section({
    slots: count("Sessions that a worker takes at once; 0: twice its CPU cores.", 0),
    min: count("Worker processes that an orchestrator keeps on its machine when nothing is to be done.", 0),
    max: count("Worker processes that an orchestrator starts on its machine at the most, by its queue; 0: none.", 0),
    warm: count("Slots that they keep free for what comes next.", 0),
    keep_seconds: count("Seconds for which those that are too many are kept, before they are drained and stopped.", 30),
    rebalance_seconds: count(
      "Seconds for which a worker has to be much fuller than another before sessions at work move there; 0: none ever does.",
      15,
    ),
    ageing_per_minute: count("Points of priority that a task gains with every minute that it waits.", 1),
    labels: z.string().default("").describe("What tasks may ask a worker for: name=value, several separated by commas."),
    roles: z.string().default("").describe("Roles that a worker serves, separated by commas; empty: all."),
    shares: z
      .string()
      .default("")
      .describe("Shares of the pool by organisation, the first part of a task's project: acme=3,home=1. One not named has 1."),
    limits: z
      .string()
      .default("")
      .describe(
        "By organisation or project, at once: tasks (acme=8,acme/web=2), and what they are granted together: acme:cpu=16,acme:memory=65536, acme:disk (MiB). One not named has no limit.",
      ),
    workspaces: z
      .string()
      .default("")
      .describe("Where workspaces that are cloned lie, the same on all workers; empty: in the data directory."),
  }),
  secrets: section({
    store: z
      .enum(["file", "keyring", "environment", "vault"])
      .default("file")
      .describe("Where secrets of sandboxes are: file, keyring, environment or vault."),
    vault_address: z
      .string()
      .default("")
      .describe("URL of a Vault-compatible server; its token is VAULT_TOKEN of the daemon's environment."),
    vault_mount: z.string().default("secret").describe("Mount of its KV version 2 engine."),
    vault_path: z.string().default("guildhall").describe("Entry whose keys are the secrets."),
    mask_unknown: z
      .boolean()
      .default(true)
      .describe("Mask what looks like a token or key of a known kind, too, in messages, output, events and logs."),
  }),
  knowledge: section({
    share: z.boolean().default(true).describe("Keep what finished sessions learned for later ones in the same project."),
    conflicts: z
      .enum(["ask", "newest", "most_trusted", "keep_both", "per_field"])
      .default("ask")
      .describe("How contradicting knowledge is settled: ask, newest, most_trusted, keep_both or per_field."),
    team: z.string().default("").describe("Team whose knowledge sessions see and may add to. Empty: none."),
    names: z.string().default("").describe("Names of people that are taken out of what is shared, with commas between."),
    remotes: z
      .string()
      .default("")
      .describe("Addresses of other Guildhalls to exchange knowledge with (http://host:port), with spaces between."),
    remote_token: z.string().default("").meta({ description: "Token that they ask for.", secret: true }),
    sync_minutes: count(
      "While the daemon runs it is in step with them at once; minutes before one that cannot tell of news by itself is asked again; 0: only when asked.",
      10,
    ),
    vectors: z
      .enum(["chroma", "memory"])
      .default("chroma")
      .describe("Where vectors of what is shared are: chroma, or memory (made anew at each start)."),
    embedder: z
      .string()
      .default("use-lite")
      .describe(
        "What makes vectors of texts: use-lite (comes along, offline), <provider>/<model>, llama:<file>.gguf or transformers:<directory>. Counts from the daemon's next start.",
      ),
    embedder_url: z.string().default("").describe("Base URL of its server. Empty: the provider's usual one."),
    embedder_dimension: count("Numbers of its vectors; 0: the server is asked.", 0),
    milvus_url: z.string().default("").describe("Milvus server for the vectors of sessions: host:port. Empty: FAISS in this process."),
    milvus_token: z.string().default("").meta({ description: "Token that it asks for: user:password or an API key.", secret: true }),
    milvus_database: z.string().default("").describe("Database there. Empty: its default."),
    chroma_url: z.string().default("").describe("Chroma server to use instead of one of Guildhall's own. Empty: its own."),
    chroma_token: z.string().default("").meta({ description: "Token that it asks for.", secret: true }),
    chroma_tenant: z.string().default("default_tenant").describe("Tenant there."),
    chroma_database: z.string().default("default_database").describe("Database there."),
    max_items: count("Items that stay findable; beyond, the least worth is set apart.", 50_000),
    grace_days: count("Days in which what was forgotten or set apart can be brought back.", 30),
  }),
  database: section({
    url: z.string().default("").meta({
      description: "PostgreSQL to use instead of the one that Guildhall brings: postgres://…",
      secret: true,
      variable: "DATABASE_URL",
    }),
    objects: z
      .enum(["auto", "files", "database"])
      .default("auto")
      .describe("Where outputs and checkpoints are kept: files, database, or auto: the database when url names one, else files."),
  }),
  routes: z
    .record(z.string().regex(/^[a-z][a-z0-9_-]*$/, "must be a name in lower case"), z.string())
    .prefault({})
    .meta({ description: 'Models by role, named as role:<name>: reviewer = "provider/model|provider/model".' }),
  modules: z
    .record(z.string().regex(/^[a-z][a-z0-9_-]*$/, "must be a name in lower case"), z.string())
    .prefault({})
    .meta({ description: "Models of your own by name: path of a module; house/<model> then opens it." }),
  keys: z
    .record(z.string().regex(/^[A-Z][A-Z0-9_]*$/, "must be the name of an environment variable"), z.string())
    .prefault({})
    .meta({ description: 'Provider keys by the name of their environment variable: ANTHROPIC_API_KEY = "…".', secret: true }),
});

/** All settings, validated, defaults filled in. */
export type Settings = z.output<typeof settingsSchema>;

/** What is known of one setting besides its value. */
export interface SettingInfo {
  /** `section.key`; `keys.*` stands for any. */
  key: string;
  description: string;
  secret: boolean;
  /** Environment variable that sets it. */
  variable: string;
}

/** Every setting in the order of the schema. */
export function describeSettings(): SettingInfo[] {
  return Object.entries(settingsSchema.shape).flatMap(([section, schema]) => {
    const inner = schema.unwrap();
    if (!(inner instanceof z.ZodObject)) return [info(`${section}.*`, schema.meta() ?? {})];
    return Object.entries(inner.shape).map(([key, value]) => info(`${section}.${key}`, (value as z.ZodType).meta() ?? {}));
  });
}

function info(key: string, meta: Record<string, unknown>): SettingInfo {
  const variable = typeof meta["variable"] === "string" ? meta["variable"] : `GUILD_${key.toUpperCase().replaceAll(".", "_")}`;
  return {
    key,
    description: typeof meta["description"] === "string" ? meta["description"] : "",
    secret: meta["secret"] === true,
    variable,
  };
}

function section<Shape extends z.ZodRawShape>(shape: Shape): z.ZodPrefault<z.ZodObject<Shape, z.core.$strict>> {
  return z.strictObject(shape).prefault({} as z.input<z.ZodObject<Shape, z.core.$strict>>);
}
