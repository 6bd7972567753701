/** Words that nobody vouches for, as a model is shown them: what stands between the marks cannot close them. */
export function markUntrusted(text: string, source: string): string {
  const from = source.replaceAll(/[^\w .:/@-]/g, "?").slice(0, 200);
  return `<untrusted source="${from}">\n${text.replaceAll(/<(?=\/?untrusted)/gi, "<\\")}\n</untrusted>`;
}
