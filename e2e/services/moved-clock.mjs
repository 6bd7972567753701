// Loaded into a service of a test (`--import`): its clock is set to wherever the file says, in milliseconds from the true time.
import { readFileSync } from "node:fs";

const True = Date;
const file = process.env.GUILD_TEST_CLOCK ?? "";
let moved = 0;

function look() {
  try {
    moved = Number(readFileSync(file, "utf8")) || 0;
  } catch {
    // It has not been touched.
  }
}

class Moved extends True {
  constructor(...parts) {
    if (parts.length === 0) super(True.now() + moved);
    else super(...parts);
  }

  static now() {
    return True.now() + moved;
  }
}

globalThis.Date = Moved;
look();
setInterval(look, 100).unref();
