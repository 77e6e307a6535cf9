//! When snapshots are loaded, written and removed.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clustered_cache_core::ErrorKind;
use clustered_cache_core::clock::Clock;
use clustered_cache_core::election::{ElectorConfig, LeaveOutcome, Standing};
use clustered_cache_core::operations::namespace::ReadStats;
use clustered_cache_core::snapshot::{Keeper, Loaded, Notice, Persist, write};
use clustered_cache_core::store::Store;
use clustered_cache_core::testing::{TempDir, User, set, text_key, text_value};
use clustered_cache_core::wire::answer::Response;
use clustered_cache_core::wire::structures::NamespaceOptions;
use support::contender::{Contender, election_in};
use support::{PATIENCE, runtime, watch};

const OFTEN: Duration = Duration::from_millis(5);

/// A keeper of a file in a temporary directory, and what it reports.
struct Scene {
    directory: TempDir,
    keeper: Arc<Keeper>,
    notices: Receiver<Notice>,
}

impl Scene {
    fn new(interval: Option<Duration>) -> Self {
        let directory = TempDir::new();
        let (keeper, notices) = keeper();
        assert!(keeper.ask(Persist { path: directory.path().join("snapshot"), interval }).unwrap());
        Self { directory, keeper, notices }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("snapshot")
    }

    fn next(&self) -> Notice {
        self.notices.recv_timeout(PATIENCE).expect("the keeper reports something")
    }

    fn is_silent(&self) -> bool {
        self.notices.try_recv().is_err()
    }
}

fn keeper() -> (Arc<Keeper>, Receiver<Notice>) {
    let (tell, notices) = channel();
    let tell = Mutex::new(tell);
    // The receiver is dropped when the test ends.
    let keeper = Keeper::new(move |notice| drop(tell.lock().unwrap().send(notice)));
    (Arc::new(keeper), notices)
}

fn store_with(keys: &[&str]) -> Arc<Store> {
    let store = Store::new(Clock::System);
    put(&store, keys);
    store
}

fn put(store: &Arc<Store>, keys: &[&str]) {
    let mut user = User::with_open(store, "n", NamespaceOptions::default());
    for key in keys {
        let (key, value) = (text_key(key), text_value("value"));
        assert!(matches!(user.ask(1, set(&key, &value)).response(), Response::Flag(true)));
    }
}

fn size(store: &Arc<Store>) -> u64 {
    let mut user = User::with_open(store, "n", NamespaceOptions::default());
    match user.ask(1, ReadStats {}).response() {
        Response::Stats(stats) => stats.size,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_an_interval_loading_removes_the_file() {
    let scene = Scene::new(None);
    write(&store_with(&["a", "b"]), &scene.path()).unwrap();
    let store = store_with(&[]);
    scene.keeper.load(&store);
    assert!(matches!(scene.next(), Notice::Loaded(Loaded { entries: 2, .. })));
    assert_eq!(size(&store), 2);
    assert!(!scene.path().exists() && scene.is_silent());
}

#[test]
fn with_an_interval_the_file_stays() {
    let scene = Scene::new(Some(OFTEN));
    write(&store_with(&["a"]), &scene.path()).unwrap();
    scene.keeper.load(&store_with(&[]));
    assert!(matches!(scene.next(), Notice::Loaded(_)));
    assert!(scene.path().exists());
}

#[test]
fn a_second_request_must_be_equal_to_the_first() {
    let scene = Scene::new(None);
    assert!(!scene.keeper.ask(Persist { path: scene.path(), interval: None }).unwrap());
    for other in [
        Persist { path: scene.path(), interval: Some(OFTEN) },
        Persist { path: PathBuf::from("/elsewhere"), interval: None },
    ] {
        let error = scene.keeper.ask(other.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OptionsConflict);
        assert!(error.message().contains(&other.to_string()), "{error}");
        assert!(error.message().contains(&scene.path().display().to_string()), "{error}");
    }
}

#[test]
fn nothing_is_written_after_the_last_snapshot() {
    let scene = Scene::new(None);
    let store = store_with(&["a"]);
    scene.keeper.finish(&store, |_| Ok(()));
    assert!(matches!(scene.next(), Notice::Written(written) if written.entries == 1));
    put(&store, &["b"]);
    scene.keeper.finish(&store, |_| Ok(()));
    assert!(scene.is_silent());
}

#[test]
fn a_file_that_cannot_be_written_is_reported_when_loading_and_at_the_end() {
    let scene = Scene::new(None);
    fs::remove_dir_all(scene.directory.path()).unwrap();
    let store = store_with(&["a"]);
    scene.keeper.load(&store);
    assert!(matches!(scene.next(), Notice::Failed(error) if error.kind() == ErrorKind::System));
    scene.keeper.finish(&store, |_| Ok(()));
    assert!(matches!(scene.next(), Notice::Failed(_)));
}

#[test]
fn a_store_is_written_at_intervals_until_it_ends() {
    let scene = Scene::new(Some(OFTEN));
    let store = Store::detecting_suspends(Clock::System);
    put(&store, &["a", "b"]);
    let is_host = Arc::new(Mutex::new(true));
    let asked = Arc::clone(&is_host);
    let runtime = runtime();
    runtime.spawn(Arc::clone(&scene.keeper).keep(Arc::clone(&store), move || *asked.lock().unwrap()));
    for _ in 0..3 {
        assert!(matches!(scene.next(), Notice::Written(written) if written.entries == 2));
    }
    store.end();
    runtime.shutdown_timeout(PATIENCE);
    // The file never holds less than the store held before it ended.
    let next = store_with(&[]);
    clustered_cache_core::snapshot::load(&next, &scene.path()).unwrap();
    assert_eq!(size(&next), 2);
}

#[test]
fn a_process_that_knew_another_host_loads_only_what_that_saved_when_it_ended() {
    for interval in [None, Some(OFTEN)] {
        let scene = Scene::new(interval);
        let saved = write(&store_with(&["a"]), &scene.path()).unwrap().checksum;
        let store = store_with(&[]);
        scene.keeper.succeed(&store, Some(saved));
        assert!(matches!(scene.next(), Notice::Loaded(_)));
        assert_eq!((size(&store), scene.path().exists()), (1, interval.is_some()));
        for known in [Some(saved), None] {
            write(&store_with(&["b"]), &scene.path()).unwrap();
            let store = store_with(&[]);
            scene.keeper.succeed(&store, known);
            assert_eq!((size(&store), scene.path().exists(), scene.is_silent()), (0, false, true));
            scene.keeper.succeed(&store, known);
            assert!(scene.is_silent(), "the file was removed before");
        }
    }
}

#[test]
fn a_late_request_is_reported_and_the_file_is_set_aside() {
    let scene = Scene::new(None);
    write(&store_with(&["a"]), &scene.path()).unwrap();
    scene.keeper.come_late(&store_with(&["b"]));
    assert!(matches!(scene.next(), Notice::Late));
    assert!(matches!(scene.next(), Notice::SetAside(aside) if aside.moved_to.is_some()));
    assert!(!scene.path().exists());
}

// --- elected hosts ---------------------------------------------------------------------------------------------

/// A contender with a keeper, and what that reports.
struct SavingContender {
    contender: Contender,
    notices: Receiver<Notice>,
}

impl SavingContender {
    /// Saves to the file of `scene`.
    fn new(scene: &Scene) -> Self {
        Self::with(scene, scene.keeper.wish().as_deref())
    }

    fn with(scene: &Scene, persist: Option<&Persist>) -> Self {
        let (keeper, notices) = keeper();
        if let Some(persist) = persist {
            keeper.ask(persist.clone()).unwrap();
        }
        let config = ElectorConfig { keeper, ..ElectorConfig::default() };
        Self { contender: Contender::with(&election_in(&scene.directory), config), notices }
    }

    /// Waits until it hosts.
    fn hosts(&self) {
        self.contender.until(|standing| matches!(standing, Standing::Hosting(_)));
    }

    /// Waits until it stands by.
    fn watches(&self) {
        self.contender.until(|standing| matches!(standing, Standing::Watching(_)));
    }

    /// Waits until it hosts or stands by. Does it host?
    fn hosts_now(&self) -> bool {
        let settled = |standing| matches!(standing, Standing::Hosting(_) | Standing::Watching(_));
        matches!(self.contender.until(settled), Standing::Hosting(_))
    }

    /// Ends without a handover. Returns what it has reported.
    fn end(self) -> Receiver<Notice> {
        self.contender.end();
        self.notices
    }

    fn kill(self) {
        self.contender.kill();
    }
}

#[test]
fn a_host_that_ends_saves_and_the_next_process_that_knew_no_other_host_loads() {
    let scene = Scene::new(None);
    write(&store_with(&["a"]), &scene.path()).unwrap();
    let first = SavingContender::new(&scene);
    first.hosts();
    assert!(!scene.path().exists(), "it was loaded before clients could connect");
    let told: Vec<_> = first.end().try_iter().collect();
    let [Notice::Loaded(loaded), Notice::Written(written)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((loaded.entries, written.entries), (1, 1));
    let second = SavingContender::new(&scene);
    second.hosts();
    assert!(!scene.path().exists());
    second.kill();
    let third = SavingContender::new(&scene);
    third.hosts();
    assert!(matches!(third.end().try_recv(), Ok(Notice::Written(written)) if written.entries == 0));
}

#[test]
fn a_standby_of_a_killed_host_starts_empty_and_removes_the_older_file() {
    for interval in [None, Some(Duration::from_secs(3_600))] {
        let scene = Scene::new(interval);
        let first = SavingContender::new(&scene);
        first.hosts();
        let survivor = SavingContender::new(&scene);
        survivor.watches();
        write(&store_with(&["old"]), &scene.path()).unwrap();
        first.kill();
        survivor.hosts();
        assert!(!scene.path().exists());
        assert!(matches!(survivor.end().try_recv(), Ok(Notice::Written(written)) if written.entries == 0));
    }
}

#[test]
fn a_standby_loads_what_the_host_saved_when_it_ended() {
    for interval in [None, Some(Duration::from_secs(3_600))] {
        let scene = Scene::new(interval);
        write(&store_with(&["a", "b"]), &scene.path()).unwrap();
        let mut host = SavingContender::new(&scene);
        host.hosts();
        for _ in 0..3 {
            let survivor = SavingContender::new(&scene);
            survivor.watches();
            let told: Vec<_> = host.end().try_iter().collect();
            let [Notice::Loaded(loaded), Notice::Written(written)] = &told[..] else { panic!("{told:?}") };
            assert_eq!((loaded.entries, written.entries), (2, 2));
            survivor.hosts();
            assert_eq!(scene.path().exists(), interval.is_some());
            host = survivor;
        }
    }
}

#[test]
fn what_a_host_saved_is_loaded_only_by_the_next_host() {
    let scene = Scene::new(Some(Duration::from_secs(3_600)));
    write(&store_with(&["a"]), &scene.path()).unwrap();
    let first = SavingContender::new(&scene);
    first.hosts();
    let [second, third] = [(); 2].map(|()| {
        let survivor = SavingContender::new(&scene);
        survivor.watches();
        survivor
    });
    first.end();
    // One of the two loads the file and is killed. The file stays.
    let seconds_turn = second.hosts_now();
    assert_ne!(third.hosts_now(), seconds_turn);
    let (next, last) = if seconds_turn { (second, third) } else { (third, second) };
    assert!(matches!(next.notices.recv_timeout(PATIENCE), Ok(Notice::Loaded(_))));
    assert!(scene.path().exists());
    next.kill();
    last.hosts();
    assert!(!scene.path().exists());
    assert!(matches!(last.end().try_recv(), Ok(Notice::Written(written)) if written.entries == 0));
}

#[test]
fn a_process_that_would_save_to_another_file_than_the_host_reports_it_once() {
    let scene = Scene::new(None);
    let elsewhere = Persist { path: scene.directory.path().join("elsewhere"), interval: None };
    let host = SavingContender::new(&scene);
    host.hosts();
    let alike = SavingContender::new(&scene);
    alike.watches();
    let without = SavingContender::with(&scene, None);
    without.watches();
    let other = SavingContender::with(&scene, Some(&elsewhere));
    let Ok(Notice::Differs { there, here }) = other.notices.recv_timeout(PATIENCE) else {
        panic!("nothing was reported")
    };
    assert_eq!((there, here), (scene.keeper.wish().unwrap().to_string(), elsewhere.clone()));
    // `other` becomes the host. Now `alike` differs, and `without` does not, because it requests no snapshot.
    let left = host.contender.leave(PATIENCE);
    assert!(matches!(left, LeaveOutcome::HandedOver { .. }));
    let Ok(Notice::Differs { there, .. }) = alike.notices.recv_timeout(PATIENCE) else {
        panic!("nothing was reported")
    };
    assert_eq!(there, elsewhere.to_string());
    without.watches();
    assert!(alike.notices.try_recv().is_err() && without.notices.try_recv().is_err());
}

#[test]
fn a_host_that_does_not_save_removes_the_record_of_the_previous_one() {
    let scene = Scene::new(None);
    let first = SavingContender::new(&scene);
    first.hosts();
    first.end();
    let host = SavingContender::with(&scene, None);
    host.hosts();
    let election = election_in(&scene.directory);
    assert!(
        !election.socket().with_file_name("persist").exists(),
        "it has removed the record of the previous host"
    );
}

#[test]
fn a_standby_that_leaves_saves_nothing() {
    let scene = Scene::new(None);
    let host = SavingContender::new(&scene);
    host.hosts();
    let standby = SavingContender::new(&scene);
    standby.watches();
    assert!(standby.end().try_recv().is_err());
    assert!(!scene.path().exists());
    host.end();
    assert!(scene.path().exists());
}

/// Waits until something is so; the deadline is one that only a failing test reaches.
fn until(is_so: impl Fn() -> bool) {
    let _watch = watch("until");
    while !is_so() {
        std::thread::yield_now();
    }
}

// --- two hosts with one path -------------------------------------------------------------------------------------

#[test]
fn the_second_of_two_hosts_with_one_path_is_told_of_the_first() {
    let (scene, runtime) = (Scene::new(None), runtime());
    runtime.block_on(Arc::clone(&scene.keeper).claim());
    let (second, notices) = keeper();
    second.ask(Persist { path: scene.path(), interval: Some(OFTEN) }).unwrap();
    runtime.block_on(Arc::clone(&second).claim());
    let notice = notices.try_recv().unwrap();
    assert_eq!(notice.code(), "CC_SNAPSHOT_SHARED");
    assert!(notice.is_warning());
    let (path, process) = (scene.path().display().to_string(), std::process::id().to_string());
    assert!([path, process].iter().all(|part| notice.to_string().contains(part)), "{notice}");
    assert!(scene.is_silent());
}

#[test]
fn a_host_that_ends_gives_its_path_to_the_next_without_a_word() {
    let (scene, runtime) = (Scene::new(None), runtime());
    runtime.block_on(Arc::clone(&scene.keeper).claim());
    let (next, notices) = keeper();
    next.ask(Persist { path: scene.path(), interval: None }).unwrap();
    let claiming = runtime.spawn(Arc::clone(&next).claim());
    scene.keeper.finish(&store_with(&[]), |_| Ok(()));
    runtime.block_on(claiming).unwrap();
    assert!(notices.try_recv().is_err());
    // It is the next one's now.
    next.finish(&store_with(&[]), |_| Ok(()));
    let names: Vec<_> =
        fs::read_dir(scene.directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["snapshot"], "the mark of the owner goes with it");
}

#[test]
fn a_term_that_ends_gives_the_path_up() {
    let (scene, runtime) = (Scene::new(Some(Duration::from_secs(3_600))), runtime());
    let keeping = runtime.spawn(Arc::clone(&scene.keeper).keep(store_with(&[]), || true));
    let owner = scene.directory.path().join("snapshot.owner");
    until(|| owner.exists());
    keeping.abort();
    until(|| !owner.exists());
    let (next, notices) = keeper();
    next.ask(Persist { path: scene.path(), interval: None }).unwrap();
    runtime.block_on(Arc::clone(&next).claim());
    assert!(notices.try_recv().is_err());
}
