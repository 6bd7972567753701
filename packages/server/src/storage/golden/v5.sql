CREATE SCHEMA guildhall;
CREATE TABLE guildhall.schema_version (version integer PRIMARY KEY, compatible_from integer NOT NULL, applied_at timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS guildhall.session (
         tenant_id text NOT NULL,
         session_id text NOT NULL,
         title text NOT NULL,
         workspace text NOT NULL,
         parent_id text,
         request_id text,
         created_at timestamptz NOT NULL,
         updated_at timestamptz NOT NULL,
         last_seq integer NOT NULL,
         epoch integer NOT NULL,
         lease_owner text,
         lease_expires_at timestamptz,
         turn_open boolean NOT NULL,
         turn_end_reason integer,
         turn_end_summary text,
         PRIMARY KEY (tenant_id, session_id)
       );
CREATE INDEX IF NOT EXISTS session_newest ON guildhall.session (tenant_id, created_at DESC, session_id DESC);
CREATE UNIQUE INDEX IF NOT EXISTS session_request ON guildhall.session (tenant_id, request_id) WHERE request_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS guildhall.event (
         tenant_id text NOT NULL,
         session_id text NOT NULL,
         seq integer NOT NULL,
         payload bytea NOT NULL,
         key_id text,
         PRIMARY KEY (tenant_id, session_id, seq)
       );
CREATE TABLE IF NOT EXISTS guildhall.session_input (
         tenant_id text NOT NULL,
         session_id text NOT NULL,
         input_key text NOT NULL,
         seq integer NOT NULL,
         PRIMARY KEY (tenant_id, session_id, input_key)
       );
CREATE TABLE IF NOT EXISTS guildhall.task (
         tenant_id text NOT NULL,
         task_id text NOT NULL,
         graph_id text NOT NULL,
         name text NOT NULL,
         project text NOT NULL,
         spec bytea NOT NULL,
         state integer NOT NULL,
         reason text NOT NULL,
         priority integer NOT NULL,
         attempt integer NOT NULL,
         epoch integer NOT NULL,
         session_id text,
         worker_id text,
         claim_owner text,
         claim_expires_at timestamptz,
         request_id text,
         submitted_at timestamptz NOT NULL,
         started_at timestamptz,
         ended_at timestamptz,
         PRIMARY KEY (tenant_id, task_id)
       );
CREATE INDEX IF NOT EXISTS task_open ON guildhall.task (tenant_id, state) WHERE state < 5;
CREATE INDEX IF NOT EXISTS task_graph ON guildhall.task (tenant_id, graph_id);
CREATE INDEX IF NOT EXISTS task_session ON guildhall.task (tenant_id, session_id) WHERE session_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS task_request ON guildhall.task (tenant_id, request_id) WHERE request_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS guildhall.budget (
         tenant_id text NOT NULL,
         path text NOT NULL,
         max_steps double precision NOT NULL,
         max_tokens double precision NOT NULL,
         max_cost_usd double precision NOT NULL,
         max_seconds double precision NOT NULL,
         spent_steps double precision NOT NULL,
         spent_tokens double precision NOT NULL,
         spent_cost_usd double precision NOT NULL,
         spent_seconds double precision NOT NULL,
         PRIMARY KEY (tenant_id, path)
       );
CREATE TABLE IF NOT EXISTS guildhall.reservation (
         tenant_id text NOT NULL,
         reservation_id text NOT NULL,
         session_id text NOT NULL,
         epoch integer NOT NULL,
         path text NOT NULL,
         steps double precision NOT NULL,
         tokens double precision NOT NULL,
         cost_usd double precision NOT NULL,
         seconds double precision NOT NULL,
         expires_at timestamptz NOT NULL,
         PRIMARY KEY (tenant_id, reservation_id)
       );
CREATE TABLE IF NOT EXISTS guildhall.knowledge_replica (
         tenant_id text NOT NULL,
         replica text NOT NULL,
         created_at timestamptz NOT NULL,
         PRIMARY KEY (tenant_id)
       );
CREATE TABLE IF NOT EXISTS guildhall.knowledge_operation (
         tenant_id text NOT NULL,
         replica text NOT NULL,
         seq bigint NOT NULL,
         operation_id text NOT NULL,
         item_id text NOT NULL,
         kind text NOT NULL,
         wall_ms bigint NOT NULL,
         counter integer NOT NULL,
         scope text NOT NULL,
         actor text NOT NULL,
         confidence double precision NOT NULL,
         payload bytea NOT NULL,
         key_id text,
         PRIMARY KEY (tenant_id, replica, seq)
       );
CREATE UNIQUE INDEX IF NOT EXISTS knowledge_operation_once ON guildhall.knowledge_operation (tenant_id, operation_id);
CREATE TABLE IF NOT EXISTS guildhall.knowledge_border (
         tenant_id text NOT NULL,
         entry_id text NOT NULL,
         at timestamptz NOT NULL,
         session_id text NOT NULL,
         outcome text NOT NULL,
         reasons text NOT NULL,
         PRIMARY KEY (tenant_id, entry_id)
       );
CREATE INDEX IF NOT EXISTS knowledge_operation_item ON guildhall.knowledge_operation (tenant_id, item_id);
ALTER TABLE guildhall.task ADD COLUMN IF NOT EXISTS delivers boolean NOT NULL DEFAULT false;
ALTER TABLE guildhall.task ADD COLUMN IF NOT EXISTS base text NOT NULL DEFAULT '';
CREATE TABLE IF NOT EXISTS guildhall.blob (
         digest text NOT NULL,
         content_id text NOT NULL,
         size bigint NOT NULL,
         PRIMARY KEY (digest)
       );
CREATE TABLE IF NOT EXISTS guildhall.blob_piece (
         content_id text NOT NULL,
         nth integer NOT NULL,
         bytes bytea NOT NULL,
         PRIMARY KEY (content_id, nth)
       );
CREATE TABLE IF NOT EXISTS guildhall.blob_upload (
         content_id text NOT NULL,
         started_at timestamptz NOT NULL,
         PRIMARY KEY (content_id)
       );
CREATE TABLE IF NOT EXISTS guildhall.checkpoint_object (
         store text NOT NULL,
         object_id text NOT NULL,
         kind text NOT NULL,
         content bytea NOT NULL,
         used_at timestamptz NOT NULL,
         PRIMARY KEY (store, object_id)
       );
CREATE TABLE IF NOT EXISTS guildhall.worker (
         tenant_id text NOT NULL,
         worker_id text NOT NULL,
         owner text NOT NULL,
         seen_at timestamptz NOT NULL,
         drain boolean NOT NULL,
         payload bytea NOT NULL,
         PRIMARY KEY (tenant_id, worker_id)
       );
INSERT INTO guildhall.schema_version VALUES (1, 1, '2026-01-02T03:04:05.000Z');
INSERT INTO guildhall.schema_version VALUES (2, 1, '2026-01-02T03:04:05.000Z');
INSERT INTO guildhall.schema_version VALUES (3, 1, '2026-01-02T03:04:05.000Z');
INSERT INTO guildhall.schema_version VALUES (4, 1, '2026-01-02T03:04:05.000Z');
INSERT INTO guildhall.schema_version VALUES (5, 1, '2026-01-02T03:04:05.000Z');
INSERT INTO guildhall.session (tenant_id, session_id, title, workspace, request_id, created_at, updated_at, last_seq, epoch, turn_open,
     turn_end_reason, turn_end_summary)
   VALUES ('local', 'ses_golden', 'golden', '/w', 'req_golden', '2026-01-02T03:04:05.000Z', '2026-01-02T03:04:05.000Z', 4, 3, false, 1, 'done');
INSERT INTO guildhall.event (tenant_id, session_id, seq, payload) VALUES ('local', 'ses_golden', 1, '\x120608a5ebdcca0618032208776f726b65723a3152170a152f686f6d652f736f6d656f6e652f70726f6a656374');
INSERT INTO guildhall.event (tenant_id, session_id, seq, payload) VALUES ('local', 'ses_golden', 2, '\x120608a5ebdcca0618032208776f726b65723a315a1b0a0d6d656e64207468652074657374120a6d73675f676f6c64656e');
INSERT INTO guildhall.event (tenant_id, session_id, seq, payload) VALUES ('local', 'ses_golden', 3, '\x120608a5ebdcca0618032208776f726b65723a31d201120a0572756c65731209617320697420776173');
INSERT INTO guildhall.event (tenant_id, session_id, seq, payload) VALUES ('local', 'ses_golden', 4, '\x120608a5ebdcca0618032208776f726b65723a31da010808011204646f6e65');
INSERT INTO guildhall.session_input VALUES ('local', 'ses_golden', 'message:msg_golden', 2);
