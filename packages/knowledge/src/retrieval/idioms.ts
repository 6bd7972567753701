/**
 * What a program does, in the words in which people ask for it, as far as the names that it calls tell: `os.path.exists` checks whether a file exists, and
 * says neither "check" nor "file". Read from the form alone; what is no idiom tells nothing.
 */
export function saidInWords(program: string): string {
  const said = new Set<string>();
  const add = (words: string | undefined): void => {
    if (words !== undefined) for (const word of words.split(" ")) said.add(word);
  };
  for (const found of new Set(program.match(NAME))) {
    const called = found.endsWith("(");
    const name = (called ? found.slice(0, -1) : found).trimEnd();
    add(IDIOMS.get(name));
    const [module = ""] = name.split(".", 1);
    if (module !== name) add(IDIOMS.get(`${module}.*`));
    if (!called) continue;
    const own = name.slice(name.lastIndexOf(".") + 1);
    add(IDIOMS.get(own === name ? `${own}()` : `.${own}()`));
  }
  for (const [form, words] of FORMS) if (form.test(program)) add(words);
  return [...said].join(" ");
}

/** A name with its dots, and the bracket where it is called. */
const NAME = /[\p{L}_][\p{L}\p{N}_]*(?:\.[\p{L}_][\p{L}\p{N}_]*)*\s*\(?|(?<=[\])"'])\.[\p{L}_][\p{L}\p{N}_]*\s*\(?/gu;

/** A name and its words: `name` as it stands, `module.*` for all of a module, `name()` and `.name()` where it is called. */
const LINES = `
open(): open file
.read(): read file
.readline(): read file line
.readlines(): read file line
.write(): write file
os.path.exists: check file exists path
os.path.isfile: check file exists
os.path.isdir: check directory exists
os.makedirs: create directory
os.mkdir: create directory
.mkdir(): create directory
os.remove: delete file
os.unlink: delete file
shutil.rmtree: delete directory
shutil.copy: copy file
os.listdir: list files directory
os.scandir: list files directory
os.walk: list files directory
glob.*: list files directory
os.environ: environment variable
os.getenv: environment variable
os.path.splitext: file extension
os.path.basename: filename
os.path.dirname: directory
os.path.join: join path
os.path.abspath: absolute path
os.path.realpath: absolute path
tempfile.*: temporary file
json.dumps: convert serialize json string
json.dump: write serialize json file
json.loads: parse json string
json.load: read parse json file
JSON.stringify: convert serialize json string
JSON.parse: parse json string
pickle.*: serialize pickle
yaml.load: read parse yaml
csv.reader: read csv file
csv.DictReader: read csv file
csv.writer: write csv file
csv.DictWriter: write csv file
zipfile.*: compress zip archive
gzip.*: compress archive
tarfile.*: compress archive
sorted(): sort
.sort(): sort
re.sub: regex replace
re.compile: regex match
re.match: regex match
re.search: regex search
re.findall: regex find
np.*: numpy array
numpy.*: numpy array
np.mean: average mean
np.std: standard deviation
np.zeros: zero array
np.concatenate: concatenate array
np.vstack: concatenate array
np.hstack: concatenate array
np.dot: dot product matrix
np.random.normal: random normal gaussian
pd.*: pandas dataframe
pandas.*: pandas dataframe
plt.*: matplotlib plot
ax.*: matplotlib plot
isinstance(): check type
hasattr(): check attribute
getattr(): get attribute
setattr(): set attribute
.strip(): strip whitespace
.rstrip(): strip whitespace
.lstrip(): strip whitespace
.split(): split string
.join(): join string
.lower(): lowercase
.upper(): uppercase
.toLowerCase(): lowercase
.toUpperCase(): uppercase
.encode(): encode bytes
.decode(): decode string
.startswith(): starts with prefix
.endswith(): ends with suffix
.isdigit(): check digit number
.isnumeric(): check number
.format(): format string
.items(): iterate dictionary
.keys(): dictionary key
.values(): dictionary value
.append(): append list
.extend(): append list
.index(): find index
.pop(): remove pop
.reshape(): reshape array
.astype(): convert type
.transpose(): transpose
.mean(): average mean
.std(): standard deviation
len(): length count
int(): convert integer
float(): convert float
str(): convert string
set(): unique set
dict(): dictionary
list(): list
tuple(): tuple
zip(): zip
max(): maximum
min(): minimum
sum(): sum
enumerate(): iterate index
reversed(): reverse
print(): print
super(): class inherit
random.*: random
Math.random: random
subprocess.*: run command shell subprocess
os.system: run command shell
requests.*: http request url
urllib.*: http request url
fetch(): http request url
socket.*: socket connection
datetime.*: date time
.strptime(): parse date string
.strftime(): format date string
.isoformat(): format date string
time.time: time now
time.sleep: sleep wait
threading.*: thread
multiprocessing.*: parallel multiprocess
logging.*: log
logger.*: log
argparse.*: parse argument command line
sys.argv: command line argument
sys.exit: exit
sys.stdout: print output
sqlite3.*: sql database query
cursor.*: sql database query
.execute(): sql database query
Counter(): count
collections.Counter: count
OrderedDict(): ordered dictionary
defaultdict(): dictionary default
hashlib.*: hash
base64.*: encode base64
Image.*: image
cv2.*: image
itertools.chain: flatten chain
copy.deepcopy: copy object
copy.copy: copy object
functools.wraps: decorator function
inspect.*: inspect function
signal.*: signal
etree.*: xml
BeautifulSoup(): parse html
`;

const IDIOMS = new Map(
  LINES.trim()
    .split("\n")
    .map((line) => line.split(": ") as [string, string]),
);

/** Idioms that no name tells. */
const FORMS: ReadonlyArray<[RegExp, string]> = [
  [/%\s*2\b/, "even odd"],
  [/\[::-1\]/, "reverse"],
  [/\byield\b/, "iterate generator"],
  [/\blambda\b/, "lambda function"],
  [/\bsum\s*\([^\n]*\/\s*(?:float\()?len/, "average mean"],
  [/\braise\s+\w/, "raise exception error"],
  [/\bis (?:not )?None\b/, "none null"],
  [/\btry\s*[:{]/, "try exception"],
  [/\bwhile (?:True|1)\b/, "loop forever"],
];
