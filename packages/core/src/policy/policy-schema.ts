import { z } from "zod";

import { APPROVAL_POLICIES, DATA_LEAVING } from "./approval-policy.ts";
import { RULE_DECISIONS } from "./approval-rules.ts";
import { NETWORK_PRESETS, type NetworkPreset } from "./network-presets.ts";

const host = z
  .string()
  .regex(
    /^(\*\.)?([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z]([a-z0-9-]*[a-z0-9])?$/,
    'must be a name in lower case ("example.com"), or "*.example.com"; addresses are never reached',
  );
const methods = z.array(z.string().regex(/^[A-Z]+$/, 'must be in upper case: "GET"')).min(1);
const paths = z.array(z.string().regex(/^[/*]/, 'must begin with "/" or "*"')).min(1);
const presets = Object.keys(NETWORK_PRESETS) as [NetworkPreset, ...NetworkPreset[]];
const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be the name of a variable");
const toolName = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, "must be the name of a tool");

/** Every key of a policy file: the one description from which reading, errors and the documentation come. */
export const policySchema = z.strictObject({
  approvals: z
    .strictObject({
      policy: z.enum(APPROVAL_POLICIES).optional().describe("Whoever starts a session may ask to be asked more often, never less."),
      data_leaving: z
        .enum(DATA_LEAVING)
        .optional()
        .describe(
          "`ask`: a person is asked before what could carry private data out on the word of untrusted content, whatever the policy. Default.",
        ),
      rules: z
        .array(
          z.strictObject({
            tool: z.union([toolName, z.literal("*")]).describe("A tool's name, or `*`."),
            match: z
              .string()
              .min(1)
              .optional()
              .describe("The command of `bash`, or other tools' arguments as canonical JSON; `*` stands for any text. Default: anything."),
            decide: z.enum(RULE_DECISIONS).describe("The strictest rule that fits decides, before the policy does."),
            reason: z.string().optional(),
          }),
        )
        .default([])
        .describe("The operator's file alone may allow."),
    })
    .prefault({}),
  tools: z
    .strictObject({
      only: z.array(toolName).optional().describe("No other tools are offered; `finish` always is."),
      deny: z.array(toolName).default([]).describe("Tools that are not offered."),
    })
    .prefault({}),
  network: z
    .strictObject({
      enabled: z.boolean().default(true).describe("False: nothing leaves a sandbox, whatever the rules say."),
      presets: z.array(z.enum(presets)).default([]).describe("Package registries, for reading."),
      rules: z
        .array(
          z.strictObject({
            host: host.describe('"example.com", or "*.example.com" for the names below it.'),
            ports: z.array(z.int().min(1).max(65_535)).min(1).optional().describe("Default 443; with `plain` 80 too."),
            methods: methods.optional().describe("Default all."),
            paths: paths.optional().describe("`*` stands for any text. Default all."),
            plain: z.boolean().optional().describe("Plain HTTP too."),
            refuse: z.boolean().optional().describe("Refuses what it matches, whatever other rules allow."),
          }),
        )
        .default([]),
      limits: z
        .strictObject({
          requests_per_minute: z.int().min(1).optional(),
          concurrent: z.int().min(1).optional(),
          megabytes: z.number().positive().optional().describe("Both directions, over the life of a sandbox."),
          idle_seconds: z.number().positive().optional().describe("A request without progress is given up."),
        })
        .prefault({}),
    })
    .prefault({}),
  secrets: z
    .strictObject({
      only: z.array(z.string()).optional().describe("Secrets that sandboxes may use at all, of those that are granted."),
      grants: z
        .array(
          z.strictObject({
            secret: z.string().min(1).describe("Its name: guild secret set NAME."),
            host: host.describe("Where its value may go."),
            methods: methods.optional(),
            paths: paths.optional(),
            env: variable.optional().describe("Variable that holds the placeholder; default the secret's name."),
          }),
        )
        .default([])
        .describe("The operator's file alone may grant."),
    })
    .prefault({}),
  paths: z
    .strictObject({
      read_only: z.array(z.string().min(1)).default([]).describe("Paths in the workspace that sandboxes cannot change."),
      unprotected: z
        .array(z.string().min(1))
        .default([])
        .describe("Paths that agents may write though programs of yours obey them; the operator's file alone may say so."),
    })
    .prefault({}),
  results: z
    .strictObject({
      apply: z.enum(["direct", "review"]).optional().describe("`review`: agents work in a copy, and you apply what you want of it."),
    })
    .prefault({}),
});

/** One policy file, validated. */
export type PolicyFile = z.output<typeof policySchema>;
