import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { GuildError } from "../errors.ts";
import type { EventLog, SessionKey } from "../ports/event-log.ts";
import { appendNotices, notice, rejects, seqs, startLeased, startSession, upTo } from "./event-log.samples.ts";

/** The promises about leases; part of eventLogContract. */
export function eventLogLeaseContract(logs: () => { log: EventLog; peer: EventLog }): void {
  describe("leases", () => {
    it("refuses an append without a lease, and one of an epoch that was never granted", async () => {
      const { log } = logs();
      const { session } = await startSession(log);
      const append = (epoch: number) => log.append({ tenant: "local", session, expectedSeq: 1, epoch, actor: "w", events: [notice("x")] });
      await rejects("lease_lost", append(0));
      await rejects("lease_lost", append(1));
      await log.acquireLease({ tenant: "local", session }, "worker-1", 60_000);
      await rejects("lease_lost", append(2));
      await append(1);
    });

    it("shows its holder in the row", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      const record = await log.getSession(key);
      assert.equal(record.leaseOwner, "worker-1");
      assert.equal(record.leaseExpires?.getTime(), lease.expires.getTime());
      assert.equal(record.epoch, lease.epoch);
      await log.releaseLease(lease);
      const released = await log.getSession(key);
      assert.equal(released.leaseOwner, undefined);
      assert.equal(released.leaseExpires, undefined);
      assert.equal(released.epoch, lease.epoch);
    });

    it("refuses a second owner while it runs, and fences the first after a takeover", async () => {
      const { log, peer } = logs();
      const { key, lease } = await startLeased(log);
      await rejects("failed_precondition", peer.acquireLease(key, "worker-2", 60_000));
      const taken = await peer.acquireLease(key, "worker-2", 60_000, { takeover: true });
      assert.ok(taken.epoch > lease.epoch);
      await rejects("lease_lost", appendNotices(log, lease, 1, "late"));
      // Whoever lost the lease is told so, wherever the sequence stands.
      await rejects("lease_lost", appendNotices(log, lease, 9, "late"));
      await rejects("lease_lost", log.renewLease(lease, 60_000));
      await log.releaseLease(lease);
      assert.equal((await log.getSession(key)).leaseOwner, "worker-2");
      assert.deepEqual(seqs(await appendNotices(peer, taken, 1, "mine")), [2]);
    });

    it("raises the epoch at every acquisition, by the same owner too", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      const again = await log.acquireLease(key, "worker-1", 60_000);
      assert.ok(again.epoch > lease.epoch);
      await rejects("lease_lost", appendNotices(log, lease, 1, "old"));
      await log.releaseLease(again);
      assert.ok((await log.acquireLease(key, "worker-2", 60_000)).epoch > again.epoch);
    });

    it("ends by itself, after which it can neither append nor be renewed", async () => {
      const { log } = logs();
      const { session } = await startSession(log);
      const key: SessionKey = { tenant: "local", session };
      const lease = await log.acquireLease(key, "worker-1", 5);
      await sleep(30);
      await rejects("lease_lost", appendNotices(log, lease, 1, "late"));
      await rejects("lease_lost", log.renewLease(lease, 60_000));
      const over = await log.getSession(key);
      assert.deepEqual([over.leaseOwner, over.leaseExpires?.getTime()], [undefined, lease.expires.getTime()], "never given back");
      await log.releaseLease(lease);
      const next = await log.acquireLease(key, "worker-2", 60_000);
      assert.ok(next.epoch > lease.epoch);
    });

    it("lasts longer once renewed", async () => {
      const { log } = logs();
      const { key, lease } = await startLeased(log);
      const renewed = await log.renewLease(lease, 120_000);
      assert.equal(renewed.epoch, lease.epoch);
      assert.ok(renewed.expires > lease.expires);
      assert.deepEqual(seqs(await appendNotices(log, lease, 1, "x")), [2]);
      assert.equal((await log.getSession(key)).leaseExpires?.getTime(), renewed.expires.getTime());
    });

    it("grants a free session to exactly one of many owners", async () => {
      const { log, peer } = logs();
      const { session } = await startSession(log);
      const key: SessionKey = { tenant: "local", session };
      const results = await Promise.allSettled(upTo(8).map((n) => (n % 2 ? log : peer).acquireLease(key, `worker-${n}`, 60_000)));
      assert.equal(results.filter((result) => result.status === "fulfilled").length, 1);
      for (const result of results) {
        if (result.status === "rejected") assert.ok(GuildError.is(result.reason, "failed_precondition"), String(result.reason));
      }
    });
  });
}
