/** Version of Guildhall: in logs, in the first exchange, in exports. The same as in package.json (tested). */
export const VERSION = "0.1.0";
