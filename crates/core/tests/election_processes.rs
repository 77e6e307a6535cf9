//! Elections of processes that are suspended and killed at any moment: there is never more than one host, and soon there
//! is one again.
//!
//! `ELECTION_ROUNDS` sets the number of rounds. With `--nocapture` the figures are printed to standard error, as a line of
//! JSON.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]
#![expect(clippy::print_stderr, reason = "figures, shown with --nocapture")]
#![expect(clippy::disallowed_methods, reason = "no clock is under test, only how long there was no host")]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clustered_cache_core::config::DEFAULT_TIMEOUT;
use clustered_cache_core::election::{Elector, ElectorConfig, Standing};
use clustered_cache_core::endpoint::{ElectionDirectory, read_secret};
use clustered_cache_core::testing::TempDir;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use support::contender::{election_at, election_in};
use support::{PATIENCE, Raw, runtime};

const BASE: &str = "ELECTION_BASE";
const CONTENDERS: usize = 8;
/// For the witness lock: the kernel releases the locks of a killed process from the highest descriptor on.
const HIGH: i32 = 200;
/// How long the kernel may take to release the locks of a killed process, one after the other.
const DYING: Duration = Duration::from_millis(50);

/// What the processes report, one byte each.
const HOSTS: u8 = b'H';
const TWO_HOSTS: u8 = b'!';

// --- children ----------------------------------------------------------------------------------------------------

/// The program of the child processes. It does nothing in the test run itself.
#[test]
fn child_process() {
    let Some(base) = std::env::var_os(BASE).map(PathBuf::from) else { return };
    // A test that fails leaves no process behind.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let runtime = runtime();
    let observe = witness(&base, socket.try_clone().unwrap());
    let config = ElectorConfig { observe: Arc::new(observe), ..ElectorConfig::default() };
    let _elector = Elector::start(runtime.handle(), election_at(&base), config);
    // Until this process is killed, or the parent has ended.
    let _ = (&socket).read(&mut [0]);
}

/// Holds a lock of the test during each term, and reports if another process holds it.
fn witness(base: &Path, socket: UnixStream) -> impl Fn(Standing) + Send + Sync + 'static {
    let file = File::options().append(true).create(true).open(base.join("witness")).unwrap();
    let witness: OwnedFd = rustix::io::fcntl_dupfd_cloexec(file, HIGH).unwrap();
    move |standing| match standing {
        Standing::Hosting(_) => {
            let told = if lock_soon(&witness) { HOSTS } else { TWO_HOSTS };
            (&socket).write_all(&[told]).unwrap();
        }
        Standing::Ended(_) => flock(&witness, FlockOperation::Unlock).unwrap(),
        Standing::Contending | Standing::Watching(_) => {}
    }
}

fn lock_soon(file: impl AsFd) -> bool {
    let start = Instant::now();
    loop {
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return true;
        }
        if start.elapsed() > DYING {
            return false;
        }
        std::thread::yield_now();
    }
}

// --- the parent --------------------------------------------------------------------------------------------------

struct ContenderProcess {
    child: Child,
    socket: UnixStream,
    /// The number of the term that it last reported.
    hosted_at: u64,
}

impl ContenderProcess {
    fn start(base: &Path) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["child_process", "--exact", "--test-threads=1"])
            .env(BASE, base)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, socket: ours, hosted_at: 0 }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Terms that began since it was last asked.
    fn terms(&mut self) -> u64 {
        let mut told = [0; 64];
        let count = (&self.socket).read(&mut told).unwrap_or(0);
        assert!(!told[..count].contains(&TWO_HOSTS), "two hosts at once");
        count as u64
    }
}

#[derive(Debug, Default)]
struct Figures {
    terms: u64,
    hosts_killed: u64,
    others_killed: u64,
    stopped: u64,
    hosts_stopped: u64,
    overslept: u64,
    stale_sockets: u64,
    without_host: Vec<Duration>,
}

struct Election {
    base: TempDir,
    directory: ElectionDirectory,
    contenders: Vec<ContenderProcess>,
    random: u64,
    figures: Figures,
}

impl Election {
    fn new(seed: u64) -> Self {
        let base = TempDir::new();
        let directory = election_in(&base);
        let contenders = (0..CONTENDERS).map(|_| ContenderProcess::start(base.path())).collect();
        Self { base, directory, contenders, random: seed, figures: Figures::default() }
    }

    /// The same every time: a xorshift generator.
    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as usize % bound
    }

    /// Reads what the processes have reported.
    fn listen(&mut self) {
        for contender in &mut self.contenders {
            let terms = contender.terms();
            if terms > 0 {
                self.figures.terms += terms;
                contender.hosted_at = self.figures.terms;
            }
        }
    }

    /// The process that last reported that it hosts.
    fn host(&mut self) -> usize {
        self.listen();
        (0..CONTENDERS).max_by_key(|at| self.contenders[*at].hosted_at).unwrap()
    }

    fn replace(&mut self, at: usize) {
        let next = ContenderProcess::start(self.base.path());
        let mut before = std::mem::replace(&mut self.contenders[at], next);
        before.kill();
        self.figures.terms += before.terms();
    }

    /// Waits until a host answers.
    fn settle(&mut self) {
        let start = Instant::now();
        while !answers(&self.directory) {
            assert!(start.elapsed() < PATIENCE, "no process hosts: {:?}", self.figures);
            self.listen();
            sleep(Duration::from_millis(1));
        }
        self.figures.without_host.push(start.elapsed());
        self.listen();
    }

    /// A round in which processes are suspended and killed.
    fn disturb(&mut self, round: u64) {
        let host = self.host();
        let stopped: Vec<usize> = (0..self.below(3)).map(|_| self.below(CONTENDERS)).collect();
        for at in &stopped {
            self.contenders[*at].signal(Signal::STOP);
            self.figures.stopped += 1;
            self.figures.hosts_stopped += u64::from(*at == host);
        }
        // So that the next step comes at a random moment.
        sleep(Duration::from_micros(self.below(3_000) as u64));
        if round % 50 == 7 {
            self.oversleep(host);
        } else if self.below(4) > 0 {
            self.figures.hosts_killed += 1;
            self.replace(host);
        }
        let unlucky = self.below(CONTENDERS);
        if self.below(2) == 0 {
            self.figures.others_killed += 1;
            self.replace(unlucky);
        }
        sleep(Duration::from_micros(self.below(3_000) as u64));
        for at in stopped {
            self.contenders[at].signal(Signal::CONT);
        }
    }

    /// Suspends the host for longer than its clients wait.
    fn oversleep(&mut self, host: usize) {
        self.contenders[host].signal(Signal::STOP);
        sleep(DEFAULT_TIMEOUT + Duration::from_millis(200));
        self.contenders[host].signal(Signal::CONT);
        self.figures.overslept += 1;
    }

    /// Kills all processes at once, so that the next host finds the socket of the last one.
    fn restart_all(&mut self) {
        self.contenders.iter_mut().for_each(ContenderProcess::kill);
        self.listen();
        assert!(
            UnixStream::connect(self.directory.socket()).is_err(),
            "no process is left that could listen"
        );
        if !self.directory.socket().exists() {
            drop(UnixListener::bind(self.directory.socket()).unwrap());
        }
        self.figures.stale_sockets += 1;
        let base = self.base.path();
        self.contenders = (0..CONTENDERS).map(|_| ContenderProcess::start(base)).collect();
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        for contender in &mut self.contenders {
            // After a failed test a process may have ended already.
            let _ = contender.child.kill();
            let _ = contender.child.wait();
        }
    }
}

/// Does a host answer? A suspended one only accepts connections.
fn answers(directory: &ElectionDirectory) -> bool {
    let Ok(secret) = read_secret(directory.socket()) else { return false };
    let Ok(stream) = UnixStream::connect(directory.socket()) else { return false };
    let Some(raw) = Raw::over(stream).try_greet(&secret, Duration::from_millis(250)) else { return false };
    drop(raw);
    true
}

#[test]
fn processes_that_are_suspended_and_killed_are_never_two_hosts_at_once() {
    if std::env::var_os(BASE).is_some() {
        return;
    }
    let rounds = std::env::var("ELECTION_ROUNDS").map_or(20, |rounds| rounds.parse().expect("a number"));
    let mut election = Election::new(41);
    for round in 0..rounds {
        election.settle();
        if round % 5 == 4 {
            election.restart_all();
        } else {
            election.disturb(round);
        }
    }
    election.settle();
    // A host that was suspended while its successor began would report two hosts now.
    sleep(2 * DYING);
    election.listen();
    report(&mut election.figures, rounds);
}

/// Prints the figures of a run, which never had two hosts at once. A run without kills and suspensions proves nothing.
fn report(figures: &mut Figures, rounds: u64) {
    let mut times = std::mem::take(&mut figures.without_host);
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_micros() as f64 / 1_000.0;
    let Figures {
        terms, hosts_killed, others_killed, stopped, hosts_stopped, overslept, stale_sockets, ..
    } = *figures;
    eprintln!(
        "figures {{\"rounds\": {rounds}, \"terms\": {terms}, \"hosts killed\": {hosts_killed}, \
         \"others killed\": {others_killed}, \"stopped\": {stopped}, \"hosts stopped\": {hosts_stopped}, \
         \"overslept\": {overslept}, \"stale sockets\": {stale_sockets}, \"until a host answered, median ms\": {}, \
         \"until a host answered, p99 ms\": {}, \"until a host answered, longest, ms\": {}}}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    assert!(hosts_killed > 0 && stopped > 0 && overslept > 0 && stale_sockets > 0);
    assert!(terms > hosts_killed, "each killed host was replaced");
}
