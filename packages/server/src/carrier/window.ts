/** Of one call with several messages: how much of it may wait to be read, in the unit of {@link weightOf}. About a megabyte. */
export const WINDOW = 16;
/** What a message takes of a call's window, however small; the larger it is, the more. */
export const weightOf = (message: Uint8Array): number => 1 + (message.length >>> 16);
/** Of one message, bytes, as with a stream of its own. */
export const LARGEST_MESSAGE = 64 << 20;
