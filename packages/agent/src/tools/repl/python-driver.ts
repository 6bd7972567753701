/** Runs in `python3 -u -c`: requests on standard input, replies on descriptor 3; see protocol.ts. Python 3.8 and later. */
export const PYTHON_DRIVER = String.raw`
import ast, base64, builtins, inspect, io, json, linecache, os, signal, sys, traceback, types
MARK = sys.argv[1].encode()
requests = os.fdopen(os.dup(0), "rb")
replies = os.fdopen(os.dup(3), "wb")
os.close(3)
nothing = os.open(os.devnull, os.O_RDONLY)
os.dup2(nothing, 0)
os.close(nothing)
os.environ.setdefault("MPLBACKEND", "Agg")
sys.argv = [""]
sys.path[0] = ""
main = types.ModuleType("__main__")
main.__builtins__ = builtins
sys.modules["__main__"] = main
space = main.__dict__
displays = []
loop = None
handle = signal.signal
FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
MOST = 8 * 1024 * 1024
RICH = (("_repr_png_", "image/png"), ("_repr_jpeg_", "image/jpeg"), ("_repr_svg_", "image/svg+xml"), ("_repr_markdown_", "text/markdown"), ("_repr_html_", "text/html"), ("_repr_json_", "application/json"))

def show(mime, data):
    if isinstance(data, tuple): data = data[0]
    if data is None: return
    if isinstance(data, (dict, list)): data = json.dumps(data)
    if mime.startswith("image/") and mime != "image/svg+xml":
        data = data if isinstance(data, str) else base64.b64encode(bytes(data)).decode()
    if len(data) <= MOST and len(displays) < 32: displays.append({"mime": mime, "data": str(data)})

def rich(value):
    if isinstance(value, type): return False
    found = False
    for name, mime in RICH:
        method = getattr(value, name, None)
        if not callable(method): continue
        try: data = method()
        except Exception: continue
        if data is not None:
            show(mime, data)
            found = True
            if mime.startswith("image/"): break
    return found

def text(value):
    out = repr(value)
    if len(out) > 100 and isinstance(value, (dict, list, tuple, set)) and len(out) < 100000:
        import pprint
        out = pprint.pformat(value, width=120, compact=True)
    if len(out) > 20000: out = out[:12000] + "\n… %d characters left out …\n" % (len(out) - 16000) + out[-4000:]
    return out

def display(*values):
    for value in values:
        if not rich(value): print(text(value))
builtins.display = display

def figures():
    plots = sys.modules.get("matplotlib.pyplot")
    if plots is None: return
    for number in plots.get_fignums():
        buffer = io.BytesIO()
        plots.figure(number).savefig(buffer, format="png")
        show("image/png", buffer.getvalue())
    plots.close("all")

def run(code):
    global loop
    value = eval(code, space)
    if code.co_flags & inspect.CO_COROUTINE:
        import asyncio
        if loop is None:
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
        value = loop.run_until_complete(value)
    return value

def evaluate(request):
    name = "<cell %d>" % request["id"]
    source = request["code"]
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    if tree.body: run(compile(tree, name, "exec", FLAGS))
    if last is None:
        figures()
        return None
    value = run(compile(ast.Expression(last.value), name, "eval", FLAGS))
    figures()
    if value is None: return None
    space["_"] = value
    shown = rich(value)
    return None if shown and displays[-1]["mime"].startswith("image/") else text(value)

def report():
    kind, error, trace = sys.exc_info()
    while trace is not None and trace.tb_frame.f_code.co_filename == "<string>": trace = trace.tb_next
    return "".join(traceback.format_exception(kind, error, trace)).rstrip()

def answer(request):
    del displays[:]
    reply = {"id": request["id"], "status": "ok"}
    try:
        handle(signal.SIGINT, signal.default_int_handler)
        try:
            value = evaluate(request)
        finally:
            handle(signal.SIGINT, signal.SIG_IGN)
        if value is not None: reply["value"] = value
    except KeyboardInterrupt:
        handle(signal.SIGINT, signal.SIG_IGN)
        reply["status"], reply["error"] = "interrupted", report()
    except SystemExit as exit:
        reply["status"], reply["error"] = "error", "SystemExit: %r (the interpreter goes on)" % (exit.code,)
    except BaseException:
        reply["status"], reply["error"] = "error", report()
    reply["displays"] = displays
    return reply

handle(signal.SIGINT, signal.SIG_IGN)
while True:
    line = requests.readline()
    if not line: break
    reply = json.dumps(answer(json.loads(requests.read(int(line))))).encode()
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        try: stream.flush()
        except Exception: pass
        try: os.write(descriptor, MARK)
        except OSError: pass
    replies.write(b"%d\n" % len(reply) + reply)
    replies.flush()
`;
