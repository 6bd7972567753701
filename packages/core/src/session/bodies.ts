import { create, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import {
  ActionFinishedSchema,
  ActionStartedSchema,
  ApprovalDecidedSchema,
  ApprovalRequestedSchema,
  CheckpointMadeSchema,
  ContextCondensedSchema,
  ControlRequestedSchema,
  LeaseTakenSchema,
  MessageReceivedSchema,
  ModelChangedSchema,
  ModelFailedSchema,
  ModelRepliedSchema,
  NetworkDecidedSchema,
  NoticeGivenSchema,
  SessionForkedSchema,
  SessionRewoundSchema,
  SessionStartedSchema,
  TurnEndedSchema,
} from "@guildhall/protocol";

import type { EventBody } from "../ports/event-log.ts";

/** Makes event bodies: `body.turnEnded({ reason, summary })`. Fields left out have their default. */
export const body = {
  sessionStarted: maker("sessionStarted", SessionStartedSchema),
  messageReceived: maker("messageReceived", MessageReceivedSchema),
  controlRequested: maker("controlRequested", ControlRequestedSchema),
  approvalDecided: maker("approvalDecided", ApprovalDecidedSchema),
  leaseTaken: maker("leaseTaken", LeaseTakenSchema),
  modelReplied: maker("modelReplied", ModelRepliedSchema),
  modelFailed: maker("modelFailed", ModelFailedSchema),
  actionStarted: maker("actionStarted", ActionStartedSchema),
  actionFinished: maker("actionFinished", ActionFinishedSchema),
  approvalRequested: maker("approvalRequested", ApprovalRequestedSchema),
  checkpointMade: maker("checkpointMade", CheckpointMadeSchema),
  noticeGiven: maker("noticeGiven", NoticeGivenSchema),
  turnEnded: maker("turnEnded", TurnEndedSchema),
  contextCondensed: maker("contextCondensed", ContextCondensedSchema),
  modelChanged: maker("modelChanged", ModelChangedSchema),
  sessionRewound: maker("sessionRewound", SessionRewoundSchema),
  sessionForked: maker("sessionForked", SessionForkedSchema),
  networkDecided: maker("networkDecided", NetworkDecidedSchema),
};

function maker<Case extends EventBody["case"], Schema extends DescMessage>(kind: Case, schema: Schema) {
  return (init: MessageInitShape<Schema>): { case: Case; value: MessageShape<Schema> } => ({ case: kind, value: create(schema, init) });
}
