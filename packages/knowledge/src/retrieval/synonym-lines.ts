/**
 * Words by which programmers mean the same, a line each: general usage, not any one library's. A word may stand in several lines; those of one line
 * stand for each other, those of two do not.
 */
export const SYNONYM_LINES = `
string str text
integer int
float double decimal
number num numeric
dictionary dict map mapping hash
list array lst sequence
function func fn method
remove delete del drop strip discard erase
create make build new generate construct
get fetch retrieve obtain
read load parse
find search lookup locate match
check test is verify validate determine
convert cast transform to
print show display
directory dir folder
path filename
count length len size number
maximum max largest highest biggest greatest
minimum min smallest lowest least
average mean
sum total
combine merge join concatenate concat append
split divide separate partition chunk
sort order
random rand
date datetime
time timestamp
equal same identical compare equality
unique distinct duplicate dedupe
null none empty
image picture img
column col field
row line record
matrix array ndarray
database db sql
write save store dump
replace substitute sub
lowercase lower
uppercase upper
element item member value
index position offset
configuration config conf settings option
argument arg args
parameter param params
environment env
variable var
reverse invert flip
calculate compute calc
copy clone
start begin
stop kill terminate exit quit
execute run call invoke
object obj instance
plot draw chart graph
whitespace space blank
binary bin
hexadecimal hex
compress zip gzip archive
attribute attr property
sleep wait delay pause
subtract minus difference diff
error exception failure
password passwd
regex regexp regular
message msg
request req
response resp reply
address addr
temporary temp tmp
specification spec
reference ref
repository repo
authentication auth login
authorization permission access
timeout deadline expire
previous prev
current cur
source src
destination dest dst
connect connection conn
event evt
handler callback listener
initialize init setup
change convert transform modify
translate convert
turn convert
change update modify edit alter set
traverse iterate loop walk each iter
cycle loop repeat
multiply product mul times
divide quotient div
add plus append insert push put
pick choose select choice sample
download fetch get retrieve
upload send put post
contain include has in
exist exists present
occurrence frequency count freq
first head initial begin leading
last tail end final trailing
command cmd shell
dataframe df pandas
numpy np ndarray
regex re pattern
process proc pid
resize scale
rotate rotation
crop clip cut trim
encode serialize dump
decode deserialize parse
standard std
deviation std stdev stddev
variance var
coordinate coord point position
distance dist
vector vec
transpose permute
inverse inv invert
diagonal diag
gradient grad derivative
normalize norm scale standardize
flatten ravel flat chain
generator yield iterator iter
tuple pair
intersection common overlap intersect
divisible mod modulo remainder
round floor ceil
truncate shorten cut clip limit
pad fill
newline line linebreak
delimiter separator sep
escape quote
unicode utf encoding
checksum hash md5 digest
encrypt cipher crypt
uniform random
gaussian normal
histogram hist
bin bucket
axis axes ax
figure fig plot
colour color rgb
screen display monitor terminal console
window win
cursor mouse pointer
button btn
version ver
package pkg module
class cls
inherit subclass super base parent
decorator wrapper wrap
cache memoize memo
docstring doc documentation help
limit bound range lim
limit max maximum min
word token
letter character char alphabet
digit number numeric
sentence text phrase
nonetype none
true boolean bool flag
browser web webbrowser
website url web page
link url href
json dict
log logger logging
warning warn
wait block join
filter exclude select where
empty blank none zero
clear clean reset empty
clean sanitize normalize strip
swap exchange switch
move shift
hide invisible visible
show visible
grab get take fetch
access get read
find detect identify
detect check
compare diff difference equal
similar similarity close
nearest closest near
close shut
open load
export write dump save
import load read
order sequence sorted
nested recursive deep
recursive recursively walk
subset part slice
slice sub part
prime factor
probability prob likelihood
integral integrate
interpolate interpolation interp
derivative diff
square sq power
power pow exponent exp
root sqrt
logarithm log
absolute abs
angle degree radian
rectangle rect box bbox
width size
height size
size shape dimension dim
dimension dim ndim
memory mem ram
cpu processor core
machine host computer
host hostname server
ip address
user username
group cluster
thread threading concurrent parallel
parallel multiprocessing pool
async asynchronous await
callable function callback
anonymous lambda
today now current date
yesterday day date
month date
week weekday day
utc timezone tz
second sec
millisecond ms
minute min
hour hr
`;
