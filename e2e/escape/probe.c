/*
 * One attempt a run, as its first argument says: prints THROUGH when it worked, what stopped it when not. Built by the corpus, run inside and
 * outside. Nothing in here changes the machine that it runs on: what would is only opened.
 */
#include <arpa/inet.h>
#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netpacket/packet.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <dirent.h>
#include <time.h>
#include <unistd.h>

static int said(bool through) {
  puts(through ? "THROUGH" : strerror(errno));
  return 0;
}

static pid_t sleeper(void) {
  pid_t pid = fork();
  if (pid == 0) {
    pause();
    _exit(0);
  }
  return pid;
}

static int try_ptrace(void) {
  pid_t pid = sleeper();
  bool through = ptrace(PTRACE_ATTACH, pid, 0, 0) == 0;
  int error = errno;
  kill(pid, SIGKILL);
  errno = error;
  return said(through);
}

static int try_read_memory(void) {
  static char mine[16] = "before";
  char theirs[16];
  pid_t pid = sleeper();
  struct iovec local = {theirs, sizeof theirs}, remote = {mine, sizeof mine};
  bool through = process_vm_readv(pid, &local, 1, &remote, 1, 0) > 0;
  int error = errno;
  kill(pid, SIGKILL);
  errno = error;
  return said(through);
}

/* What others have on their stacks after `name=`. */
static int try_stacks(const char *name) {
  DIR *proc = opendir("/proc");
  struct dirent *entry;
  while (proc != NULL && (entry = readdir(proc)) != NULL) {
    int pid = atoi(entry->d_name);
    if (pid <= 0 || pid == getpid()) continue;
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "r");
    if (maps == NULL) continue;
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int memory = open(path, O_RDONLY);
    while (memory >= 0 && fgets(line, sizeof line, maps) != NULL) {
      unsigned long from, to;
      if (strstr(line, "[stack]") == NULL || sscanf(line, "%lx-%lx", &from, &to) != 2) continue;
      char *copy = malloc(to - from);
      ssize_t n = pread(memory, copy, to - from, (off_t)from);
      char *found = n > 0 ? memmem(copy, (size_t)n, name, strlen(name)) : NULL;
      if (found != NULL) printf("%.60s\n", found);
      free(copy);
    }
    if (memory >= 0) close(memory);
    fclose(maps);
  }
  return 0;
}

/* Writes to a file by way of our own memory: one that we may write as anybody does, one that we may only read as nobody can. */
static bool self_mem(const char *path) {
  int file = open(path, O_RDWR), own = open("/proc/self/mem", O_RDWR);
  bool writable = file >= 0;
  if (!writable) file = open(path, O_RDONLY);
  char before = 0, after = 0;
  if (file < 0 || own < 0 || pread(file, &before, 1, 0) != 1) return false;
  for (int kind = 0; kind < 2; kind++) {
    char *mapped = mmap(NULL, 1, PROT_READ | (writable ? PROT_WRITE : 0), kind == 0 ? MAP_SHARED : MAP_PRIVATE, file, 0);
    char other = (char)(before ^ 1);
    if (mapped == MAP_FAILED || pwrite(own, &other, 1, (off_t)(uintptr_t)mapped) != 1) continue;
    if (pread(file, &after, 1, 0) == 1 && after != before) return true;
  }
  return false;
}

static int try_self_mem(char **paths) {
  for (; *paths != NULL; paths++)
    if (self_mem(*paths)) return said(true);
  return said(false);
}

/* An echo request by the kind of socket that needs no privilege where the kernel is so set. */
static int try_echo(const char *address) {
  int fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
  struct icmphdr request = {.type = ICMP_ECHO};
  struct sockaddr_in to = {.sin_family = AF_INET};
  inet_pton(AF_INET, address, &to.sin_addr);
  return said(fd >= 0 && sendto(fd, &request, sizeof request, 0, (struct sockaddr *)&to, sizeof to) == sizeof request);
}

static int try_io_uring(void) {
  struct io_uring_params params = {0};
  return said(syscall(__NR_io_uring_setup, 4, &params) >= 0);
}

static int try_bpf(void) {
  union bpf_attr attributes = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
  return said(syscall(__NR_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes) >= 0);
}

static int try_perf(void) {
  struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attributes, .config = PERF_COUNT_SW_CPU_CLOCK};
  return said(syscall(__NR_perf_event_open, &attributes, 0, -1, -1, 0) >= 0);
}

static int try_terminal(void) {
  int master, slave;
  if (openpty(&master, &slave, NULL, NULL, NULL) != 0) return said(false);
  pid_t pid = fork();
  if (pid == 0) {
    setsid();
    if (ioctl(slave, TIOCSCTTY, 0) != 0) _exit(errno);
    _exit(ioctl(slave, TIOCSTI, "x") == 0 ? 0 : errno);
  }
  int status;
  waitpid(pid, &status, 0);
  errno = WEXITSTATUS(status);
  return said(errno == 0);
}

static int try_old_calls(void) {
#ifdef __x86_64__
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
    _exit(result > 0 ? 0 : 1);
  }
  int status;
  waitpid(pid, &status, 0);
  errno = ENOSYS;
  return said(WIFEXITED(status) && WEXITSTATUS(status) == 0);
#else
  errno = ENOSYS;
  return said(false);
#endif
}

static int try_forks(int count) {
  int made = 0;
  for (; made < count; made++) {
    pid_t pid = fork();
    if (pid == 0) {
      sleep(2);
      _exit(0);
    }
    if (pid < 0) break;
  }
  printf("%d processes: ", made);
  return said(made == count);
}

static int try_memory(size_t megabytes) {
  for (size_t at = 0; at < megabytes; at++) {
    char *block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) return said(false);
    memset(block, 1, 1 << 20);
  }
  return said(true);
}

static int try_descriptors(int count) {
  for (int at = 0; at < count; at++)
    if (open("/dev/null", O_RDONLY) < 0) return said(false);
  return said(true);
}

static int try_files(int count) {
  char name[32];
  for (int at = 0; at < count; at++) {
    snprintf(name, sizeof name, "many-%d", at);
    int fd = open(name, O_CREAT | O_WRONLY, 0644);
    if (fd < 0) return said(false);
    close(fd);
  }
  return said(true);
}

/* Files that never had a name, written by processes that nobody waits for, held by one that shows its descriptors to nobody. */
static int try_nameless(int mebibytes) {
  char block[1 << 16] = {1};
  signal(SIGCHLD, SIG_IGN);
  prctl(PR_SET_DUMPABLE, 0);
  off_t there = 0;
  for (int at = 0; at < mebibytes; at += 4) {
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);
    if (fd < 0 && (fd = open("nameless", O_CREAT | O_EXCL | O_RDWR, 0600)) >= 0) unlink("nameless");
    if (fd < 0) return said(false);
    struct stat stat = {0};
    pid_t child = fork();
    if (child == 0) {
      for (int part = 0; part < 64; part++)
        if (write(fd, block, sizeof block) != sizeof block) break;
      _exit(0);
    }
    while (child > 0 && kill(child, 0) == 0) usleep(200);
    fstat(fd, &stat);
    there += stat.st_size;
  }
  return said(there >= (off_t)mebibytes << 20);
}

static int try_spin(double seconds) {
  while ((double)clock() / CLOCKS_PER_SEC < seconds) {
  }
  return said(true);
}

static int datagram(const char *address, int port, const char *text) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  inet_pton(AF_INET, address, &to.sin_addr);
  if (sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, sizeof to) < 0) return said(false);
  puts("sent");
  return 0;
}

/* Descriptor passing: one side gives an open file to whoever connects, the other reads what it is given. */
static int pass(const char *path, const char *file) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  char byte = 0, space[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  if (file != NULL) {
    int given = open(file, O_RDONLY);
    if (given < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4) != 0) return said(false);
    chmod(path, 0777);
    puts("listening");
    fflush(stdout);
    *head = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(head), &given, sizeof given);
    for (;;) {
      int to = accept(fd, NULL, NULL);
      if (to < 0) return 1;
      sendmsg(to, &message, 0);
      close(to);
    }
  }
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 || recvmsg(fd, &message, 0) < 0) return said(false);
  int given;
  char text[256];
  memcpy(&given, CMSG_DATA(head), sizeof given);
  ssize_t n = pread(given, text, sizeof text, 0);
  printf("%.*s\n", n > 0 ? (int)n : 0, text);
  return 0;
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "", *more = argc > 2 ? argv[2] : "";
#define IS(name) (strcmp(what, name) == 0)
  if (IS("ptrace")) return try_ptrace();
  if (IS("read-memory")) return try_read_memory();
  if (IS("stacks")) return try_stacks(more);
  if (IS("self-mem")) return try_self_mem(argv + 2);
  if (IS("echo")) return try_echo(more);
  if (IS("keyring")) return said(syscall(__NR_add_key, "user", "guildhall-escape", "x", 1, -3 /* of the session */) >= 0);
  if (IS("io-uring")) return try_io_uring();
  if (IS("bpf")) return try_bpf();
  if (IS("perf")) return try_perf();
  if (IS("userfaultfd")) return said(syscall(__NR_userfaultfd, O_CLOEXEC | 1 /* for user mode only */) >= 0);
  if (IS("terminal")) return try_terminal();
  if (IS("old-calls")) return try_old_calls();
  if (IS("chroot")) return said(chroot("/") == 0);
  if (IS("forks")) return try_forks(atoi(more));
  if (IS("memory")) return try_memory((size_t)atoi(more));
  if (IS("descriptors")) return try_descriptors(atoi(more));
  if (IS("files")) return try_files(atoi(more));
  if (IS("nameless")) return try_nameless(atoi(more));
  if (IS("spin")) return try_spin(atof(more));
  if (IS("raw")) return said(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0);
  if (IS("packet")) return said(socket(AF_PACKET, SOCK_RAW, 0) >= 0);
  if (IS("vsock")) return said(socket(40, SOCK_STREAM, 0) >= 0);
  if (IS("datagram") && argc > 4) return datagram(more, atoi(argv[3]), argv[4]);
  if (IS("pass-give") && argc > 3) return pass(more, argv[3]);
  if (IS("pass-take")) return pass(more, NULL);
  fprintf(stderr, "probe: %s?\n", what);
  return 64;
}
