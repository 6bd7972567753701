/*
 * Writes the sandbox's system call filter as BPF for `bwrap --seccomp` to standard output. Everything is allowed but what an
 * agent's commands never need and attackers of kernels do. Built where it is used, so that the numbers are this machine's.
 */
#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "no system call filter for this processor yet"
#endif

#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif
#ifndef __NR_map_shadow_stack
#define __NR_map_shadow_stack 453
#endif

static struct sock_filter program[1024];
static size_t length;

static void emit(unsigned short code, unsigned char yes, unsigned char no, unsigned value) {
  if (length == sizeof program / sizeof *program) exit(1);
  program[length++] = (struct sock_filter){.code = code, .jt = yes, .jf = no, .k = value};
}

static void load(size_t offset) { emit(BPF_LD | BPF_W | BPF_ABS, 0, 0, (unsigned)offset); }
static void load_call(void) { load(offsetof(struct seccomp_data, nr)); }
/* The low half, which is all that the kernel looks at for the arguments we judge. */
static void load_argument(int index) { load(offsetof(struct seccomp_data, args) + 8 * (size_t)index); }
static void answer(unsigned value) { emit(BPF_RET | BPF_K, 0, 0, value); }
static void refuse(int error) { answer(SECCOMP_RET_ERRNO | (unsigned)error); }
static void allow(void) { answer(SECCOMP_RET_ALLOW); }
/* Skips `count` instructions unless equal (or unless any bit is set). */
static void unless_equal_skip(unsigned value, unsigned char count) { emit(BPF_JMP | BPF_JEQ | BPF_K, 0, count, value); }
static void unless_any_skip(unsigned bits, unsigned char count) { emit(BPF_JMP | BPF_JSET | BPF_K, 0, count, bits); }

static void deny(long call, int error) {
  unless_equal_skip((unsigned)call, 1);
  refuse(error);
}

/* Refuses the call when any of `bits` is set in the argument. */
static void deny_bits(long call, int argument, unsigned bits, int error) {
  unless_equal_skip((unsigned)call, 4);
  load_argument(argument);
  unless_any_skip(bits, 1);
  refuse(error);
  allow();
}

/* A file made with set-user-id or set-group-id would hand its owner's rights to whoever runs it outside. */
#define SET_ID_BITS 06000

static void deny_creation(long call, int flags_argument, int mode_argument) {
  unless_equal_skip((unsigned)call, 6);
  load_argument(flags_argument);
  unless_any_skip(O_CREAT | (O_TMPFILE & ~O_DIRECTORY), 3);
  load_argument(mode_argument);
  unless_any_skip(SET_ID_BITS, 1);
  refuse(EPERM);
  allow();
}

static const long never[] = {
    /* other processes and the kernel's own inside */
    __NR_ptrace, __NR_process_vm_readv, __NR_process_vm_writev, __NR_kcmp, __NR_pidfd_getfd, __NR_bpf, __NR_perf_event_open,
    __NR_userfaultfd, __NR_syslog, __NR_lookup_dcookie, __NR_kexec_load, __NR_init_module, __NR_finit_module, __NR_delete_module,
    __NR_reboot, __NR_acct, __NR_quotactl, __NR_swapon, __NR_swapoff, __NR_fanotify_init,
#ifdef __NR_kexec_file_load
    __NR_kexec_file_load,
#endif
#ifdef __NR_quotactl_fd
    __NR_quotactl_fd,
#endif
    /* keyring: not divided by namespaces */
    __NR_keyctl, __NR_add_key, __NR_request_key,
    /* mounts and namespaces */
    __NR_mount, __NR_umount2, __NR_pivot_root, __NR_chroot, __NR_setns, __NR_open_by_handle_at, __NR_name_to_handle_at,
    __NR_open_tree, __NR_move_mount, __NR_fsopen, __NR_fsconfig, __NR_fsmount, __NR_fspick, __NR_mount_setattr,
    /* clock and names */
    __NR_settimeofday, __NR_clock_settime, __NR_clock_adjtime, __NR_adjtimex, __NR_sethostname, __NR_setdomainname,
    /* memory of other nodes and processes */
    __NR_move_pages, __NR_migrate_pages, __NR_vhangup,
#ifdef __x86_64__
    __NR_iopl, __NR_ioperm, __NR_modify_ldt, __NR_uselib, __NR_ustat, __NR_sysfs, __NR__sysctl, __NR_create_module, __NR_get_kernel_syms,
    __NR_query_module, __NR_nfsservctl,
#endif
};

int main(void) {
  load(offsetof(struct seccomp_data, arch));
  emit(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, ARCHITECTURE);
  answer(SECCOMP_RET_KILL_PROCESS);
  load_call();
#ifdef __x86_64__
  /* The x32 numbers would go round everything below. */
  emit(BPF_JMP | BPF_JGE | BPF_K, 0, 1, 0x40000000u);
  refuse(ENOSYS);
#endif
  for (size_t i = 0; i < sizeof never / sizeof *never; i++) deny(never[i], EPERM);

  /* Programs fall back when these are missing. */
  deny(__NR_io_uring_setup, ENOSYS);
  deny(__NR_io_uring_enter, ENOSYS);
  deny(__NR_io_uring_register, ENOSYS);
  deny(__NR_clone3, ENOSYS); /* its flags lie in memory, where a filter cannot look */
  deny(__NR_openat2, ENOSYS);

  unsigned namespaces =
      CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  deny_bits(__NR_clone, 0, namespaces, EPERM);
  deny_bits(__NR_unshare, 0, namespaces | 0x80 /* CLONE_NEWTIME */, EPERM);

  deny_bits(__NR_fchmod, 1, SET_ID_BITS, EPERM);
  deny_bits(__NR_fchmodat, 2, SET_ID_BITS, EPERM);
  deny_bits(__NR_fchmodat2, 2, SET_ID_BITS, EPERM);
  deny_bits(__NR_mknodat, 2, SET_ID_BITS, EPERM);
  deny_creation(__NR_openat, 2, 3);
#ifdef __x86_64__
  deny_bits(__NR_chmod, 1, SET_ID_BITS, EPERM);
  deny_bits(__NR_mknod, 1, SET_ID_BITS, EPERM);
  deny_bits(__NR_creat, 1, SET_ID_BITS, EPERM);
  deny_creation(__NR_open, 1, 2);
#endif

  /* Typing into a terminal that somebody else reads; loading line disciplines. */
  unless_equal_skip(__NR_ioctl, 6);
  load_argument(1);
  emit(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, TIOCSTI);
  emit(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, TIOCLINUX);
  unless_equal_skip(TIOCSETD, 1);
  refuse(EPERM);
  allow();

  /* Only families that the network namespace divides: vsock, for one, reaches the machine's host from anywhere. */
  unless_equal_skip(__NR_socket, 10);
  load_argument(0);
  emit(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, AF_UNIX);
  emit(BPF_JMP | BPF_JEQ | BPF_K, 6, 0, AF_INET);
  emit(BPF_JMP | BPF_JEQ | BPF_K, 5, 0, AF_INET6);
  emit(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AF_NETLINK);
  refuse(EAFNOSUPPORT);
  load_argument(2);
  emit(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0 /* NETLINK_ROUTE */);
  refuse(EPROTONOSUPPORT);
  allow();

  allow();
  return fwrite(program, sizeof *program, length, stdout) == length ? 0 : 1;
}
