import type { ConnectRouter } from "@connectrpc/connect";
import {
  AccessService,
  ApprovalService,
  EnvironmentService,
  ExtensionService,
  KnowledgeService,
  ModelService,
  PortsService,
  ResultsService,
  SessionService,
  SystemService,
  ToolService,
} from "@guildhall/protocol";

import { approvalService } from "../approvals/approval-service.ts";
import { environmentService } from "../environment/environment-service.ts";
import { extensionService } from "../extensions/extension-service.ts";
import { accessService } from "../network/access-service.ts";
import { addPoolServices } from "../pool/add-pool-services.ts";
import { portsService } from "../ports/ports-service.ts";
import { resultsService } from "../results/index.ts";
import { knowledgeService } from "../rpc/knowledge-service.ts";
import { modelService } from "../rpc/model-service.ts";
import { sessionService } from "../rpc/session-service.ts";
import { systemService } from "../rpc/system-service.ts";
import { toolService } from "../rpc/tool-service.ts";

/** What each service of the public API is made of. */
export interface PublicParts {
  sessions: Parameters<typeof sessionService>[0];
  pool: Parameters<typeof addPoolServices>[1];
  ports: Parameters<typeof portsService>[0];
  results: Parameters<typeof resultsService>[0];
  access: Parameters<typeof accessService>[0];
  knowledge: Parameters<typeof knowledgeService>[0];
  approvals: Parameters<typeof approvalService>[0];
  environments: Parameters<typeof environmentService>[0];
  extensions: Parameters<typeof extensionService>[0];
  tools: Parameters<typeof toolService>[0];
  models: Parameters<typeof modelService>[0];
  system: Parameters<typeof systemService>[0];
}

/** The public API: every service of `guildhall.v1`. */
export function addPublicServices(router: ConnectRouter, parts: PublicParts): void {
  router.service(SessionService, sessionService(parts.sessions));
  addPoolServices(router, parts.pool);
  router.service(PortsService, portsService(parts.ports));
  router.service(ResultsService, resultsService(parts.results));
  router.service(AccessService, accessService(parts.access));
  router.service(KnowledgeService, knowledgeService(parts.knowledge));
  router.service(ApprovalService, approvalService(parts.approvals));
  router.service(EnvironmentService, environmentService(parts.environments));
  router.service(ExtensionService, extensionService(parts.extensions));
  router.service(ToolService, toolService(parts.tools));
  router.service(ModelService, modelService(parts.models));
  router.service(SystemService, systemService(parts.system));
}
