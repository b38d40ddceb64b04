//! What only a real Docker Engine can show.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use portolan::base::{Clock as _, ErrorKind, Secret, SystemClock};
use portolan::engine::runtime::docker::DockerRuntime;
use portolan::engine::runtime::{
    ContainerId, ContainerSpec, ContainerState, ExecOutput, PinnedImage, Runtime as _, RuntimeEvent,
};
use portolan::engine::{LogLine, LogRequest};
use tokio::net::{UnixListener, UnixStream};

use crate::support::docker::{TOKEN, TestDocker, docker, eventually};

fn token() -> Secret {
    Secret::new(TOKEN.to_owned())
}

async fn prepared() -> TestDocker {
    let test = TestDocker::start().await;
    test.runtime.pull(&test.image, &token()).await.expect("pull");
    test.runtime.ensure_network(&test.network).await.expect("a network");
    test
}

fn shell(test: &TestDocker, script: &str) -> ContainerSpec {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    ContainerSpec { command, ..test.spec() }
}

async fn started(test: &TestDocker, spec: &ContainerSpec) -> ContainerId {
    let id = test.runtime.create(spec).await.expect("create");
    test.runtime.start(&id).await.expect("start");
    id
}

async fn ended(test: &TestDocker, id: &ContainerId) -> ContainerState {
    eventually("the container ends", || async {
        let seen = test.runtime.inspect(id).await.expect("inspect").expect("it exists");
        matches!(seen.state, ContainerState::Exited { .. })
    })
    .await;
    test.runtime.inspect(id).await.expect("inspect").expect("it exists").state
}

async fn lines(test: &TestDocker, id: &ContainerId, request: &LogRequest) -> Vec<LogLine> {
    let stream = test.runtime.logs(id, request).await.expect("logs");
    stream.map(|line| line.expect("a line")).collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulls_of_one_image_are_one_pull() {
    let test = TestDocker::start().await;
    let token = token();
    let pulls = (0..8).map(|_| test.runtime.pull(&test.image, &token));
    for pulled in futures_util::future::join_all(pulls).await {
        pulled.expect("pull");
    }
    assert_eq!(test.registry.manifests_served.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_that_fails_says_why() {
    let test = TestDocker::start().await;
    let wrong = Secret::new("wrong".to_owned());
    let error = test.runtime.pull(&test.image, &wrong).await.expect_err("a wrong token");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "pull_failed"));
    assert!(error.public_message().ends_with("refused the node's token"), "{error:?}");

    let absent =
        PinnedImage { digest: portolan::base::Digest::sha256(b"absent"), ..test.image.clone() };
    let error = test.runtime.pull(&absent, &token()).await.expect_err("no such image");
    assert!(error.public_message().ends_with("does not have it (any more)"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_fails_says_why() {
    let test = prepared().await;
    let id = test.runtime.create(&test.spec()).await.expect("create");
    test.runtime.remove_network(&test.network).await.expect("nothing runs on it");
    let error = test.runtime.start(&id).await.expect_err("no network");
    let message = error.public_message();
    // An engine in swarm mode asks its managers for the network first and words this differently.
    assert!(message.starts_with("Docker could not start the container: "), "{error:?}");
    assert!(message.contains(&format!("network {}", test.network)), "{error:?}");
    assert!(message.ends_with("not found"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_missing_ends_with_a_line_that_says_so() {
    let test = prepared().await;
    let spec = ContainerSpec { command: vec!["/nowhere".to_owned()], ..test.spec() };
    let id = started(&test, &spec).await;
    let state = ended(&test, &id).await;
    assert!(matches!(state, ContainerState::Exited { code: 127, .. }), "{state:?}");
    let lines = lines(&test, &id, &LogRequest::default()).await;
    assert!(lines.iter().any(|l| l.text.contains("exec /nowhere failed")), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_that_runs_out_is_recognised() {
    let test = prepared().await;
    let mut events = test.runtime.events();
    let spec = shell(&test, "x=xxxxxxxxxxxxxxxx; while true; do x=$x$x; done");
    let id = started(&test, &spec).await;
    let state = ended(&test, &id).await;
    assert!(matches!(state, ContainerState::Exited { oom_killed: true, .. }), "{state:?}");
    let (mut out_of_memory, mut died) = (false, false);
    while !died || !out_of_memory {
        let next = tokio::time::timeout(Duration::from_secs(10), events.next());
        match next.await.expect("an event").expect("the stream goes on") {
            RuntimeEvent::OutOfMemory { container, .. } => out_of_memory |= container == id,
            RuntimeEvent::Died { container, .. } => died |= container == id,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exit_code_is_told() {
    let test = prepared().await;
    let mut events = test.runtime.events();
    let id = started(&test, &shell(&test, "exit 7")).await;
    let state = ended(&test, &id).await;
    assert!(matches!(state, ContainerState::Exited { code: 7, oom_killed: false, .. }));
    let code = loop {
        let next = tokio::time::timeout(Duration::from_secs(10), events.next());
        if let Some(RuntimeEvent::Died { code, .. }) = next.await.expect("an event") {
            break code;
        }
    };
    assert_eq!(code, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_are_cleaned_joined_and_told_apart() {
    let test = prepared().await;
    let script = r#"
        printf 'a\033]0;title\007b\r\033[2Jc\342\200\256d\n'
        echo oops >&2
        head() { /bin/busybox head -c "$1" /dev/zero | /bin/busybox tr '\0' x; }
        head 40000; echo
        printf 'no line end'
    "#;
    let id = started(&test, &shell(&test, script)).await;
    ended(&test, &id).await;
    let mut all = lines(&test, &id, &LogRequest::default()).await;
    let error = all.iter().position(|l| l.stream == "stderr").expect("a line of stderr");
    assert_eq!(all.remove(error).text, "oops");
    let texts: Vec<_> = all.iter().map(|l| l.text.as_str()).collect();
    assert_eq!(texts[0], "a␛]0;title␇b␍␛[2Jc\u{fffd}d");
    assert_eq!(texts[1], format!("{}…", "x".repeat(16 << 10)));
    assert_eq!(texts[2..], ["no line end"]);
    let age = SystemClock.now() - all[0].at;
    assert!(age.num_seconds() < 60, "{age}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_follow_and_are_cut_to_the_tail() {
    let test = prepared().await;
    let script = "for i in 1 2 3 4 5; do echo line $i; done; read x < /gate; echo the end";
    let id = started(&test, &shell(&test, &format!("/bin/busybox mkfifo /gate; {script}"))).await;
    let request = LogRequest { follow: true, tail: Some(2), ..LogRequest::default() };
    eventually("five lines", || async {
        lines(&test, &id, &LogRequest::default()).await.len() == 5
    })
    .await;
    let mut stream = test.runtime.logs(&id, &request).await.expect("logs");
    for expected in ["line 4", "line 5"] {
        assert_eq!(stream.next().await.expect("a line").expect("a line").text, expected);
    }
    docker(&["exec", &id, "sh", "-c", "echo go > /gate"]);
    let last = stream.next().await.expect("a line").expect("a line");
    assert_eq!(last.text, "the end");
    assert!(stream.next().await.is_none(), "the log ends with the container");
    let since = LogRequest { since: Some(last.at), ..LogRequest::default() };
    let new: Vec<_> = lines(&test, &id, &since).await.into_iter().map(|l| l.text).collect();
    assert_eq!(new, ["the end"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_run_without_a_shell_and_are_bounded() {
    let test = prepared().await;
    let id = started(&test, &test.spec()).await;
    let exec = async |command: &[&str], limit: Duration| {
        let command: Vec<_> = command.iter().map(|c| (*c).to_owned()).collect();
        test.runtime.exec(&id, &command, limit).await
    };
    let long = Duration::from_secs(20);
    let plain = exec(&["/bin/echo", "$HOME; a\x1bb"], long).await.expect("echo");
    assert_eq!(plain, ExecOutput { code: 0, output: "$HOME; a␛b".to_owned() });
    let failing = exec(&["/bin/sh", "-c", "echo one; echo two >&2; exit 3"], long).await;
    let failing = failing.expect("sh");
    // The two streams are read side by side, in no certain order.
    let mut both: Vec<_> = failing.output.lines().collect();
    both.sort_unstable();
    assert_eq!((failing.code, both), (3, vec!["one", "two"]));
    let loud = exec(
        &[
            "/bin/sh",
            "-c",
            "while echo xxxxxxxxxxxxxxx; do i=$i.; [ ${#i} -gt 2000 ] && exit 0; done",
        ],
        long,
    );
    let loud = loud.await.expect("sh");
    assert_eq!(loud.code, 0);
    assert!((4000..=4096).contains(&loud.output.len()), "{}", loud.output.len());
    let missing = exec(&["/nowhere"], long).await.expect("an exit code");
    assert!([126, 127].contains(&missing.code), "{missing:?}");
    let began = Instant::now();
    let slow = exec(&["/bin/sleep", "60"], Duration::from_millis(500)).await;
    assert_eq!(slow.expect_err("too slow").code(), "exec_timeout");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_containers_start_side_by_side() {
    let test = prepared().await;
    let specs: Vec<_> = (0..20).map(|_| test.spec()).collect();
    let runs = specs.iter().map(|spec| async {
        let id = test.runtime.create(spec).await.expect("create");
        test.runtime.start(&id).await.expect("start").expect("an address")
    });
    let addresses: std::collections::HashSet<_> =
        futures_util::future::join_all(runs).await.into_iter().collect();
    assert_eq!(addresses.len(), 20);
    let listed = test.runtime.list().await.expect("list");
    assert_eq!(listed.len(), 20);
    assert!(listed.iter().all(|c| c.address.is_some_and(|a| addresses.contains(&a))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_asked_for_by_many_is_made_once() {
    let test = TestDocker::start().await;
    let asked = (0..8).map(|_| test.runtime.ensure_network(&test.network));
    for made in futures_util::future::join_all(asked).await {
        made.expect("a network");
    }
    let filter = format!("name={}", test.network);
    let found = docker(&["network", "ls", "-q", "--filter", &filter]);
    assert_eq!(found.lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_container_is_no_longer_ours() {
    let test = prepared().await;
    let spec = test.spec();
    let id = started(&test, &spec).await;
    let mut events = test.runtime.events();
    let listening = tokio::spawn(async move { events.next().await });
    docker(&["rename", &id, &format!("taken-{}", test.suffix)]);
    let event = tokio::time::timeout(Duration::from_secs(10), listening).await;
    let event = event.expect("an event").expect("it listens").expect("the stream goes on");
    let replica = spec.replica;
    assert_eq!(event, RuntimeEvent::Changed { container: id.clone(), replica });
    assert_eq!(test.runtime.inspect(&id).await.expect("inspect"), None);
}

/// A way to the engine that can be cut.
struct Way {
    socket: PathBuf,
    cut: tokio::sync::watch::Sender<bool>,
    _dir: tempfile::TempDir,
}

impl Way {
    fn open() -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        let socket = dir.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).expect("bind");
        let cut = tokio::sync::watch::Sender::new(false);
        let seen = cut.subscribe();
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.expect("accept");
                let mut seen = seen.clone();
                tokio::spawn(async move {
                    if *seen.borrow() {
                        return;
                    }
                    let mut far =
                        UnixStream::connect("/var/run/docker.sock").await.expect("connect");
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = seen.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { socket, cut, _dir: dir }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_back_after_a_break_and_say_so() {
    let test = prepared().await;
    let way = Way::open();
    let host = format!("unix://{}", way.socket.display());
    let key = Secret::new(test.suffix.as_bytes().to_vec());
    let far = DockerRuntime::new(Some(&host), String::new(), key).expect("a runtime");
    let mut events = far.events();
    let mut next = async || {
        let next = tokio::time::timeout(Duration::from_secs(20), events.next());
        next.await.expect("an event").expect("the stream goes on")
    };
    let id = started(&test, &test.spec()).await;
    assert!(matches!(next().await, RuntimeEvent::Started { .. }));
    way.cut.send_replace(true);
    let error = far.info().await.expect_err("the way is cut");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    test.runtime.remove(&id).await.expect("remove");
    way.cut.send_replace(false);
    assert_eq!(next().await, RuntimeEvent::Resync);
    // What happened meanwhile is told, too.
    while !matches!(next().await, RuntimeEvent::Died { .. }) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_daemon_every_call_says_what_to_do() {
    let dir = tempfile::tempdir().expect("tempdir");
    let socket = dir.path().join("docker.sock");
    let host = format!("unix://{}", socket.display());
    let key = || Secret::new(b"key".to_vec());
    let says_what_to_do = async |host: &str| {
        let absent = DockerRuntime::new(Some(host), String::new(), key()).expect("a runtime");
        let error = absent.info().await.expect_err("no daemon");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let advice = "start Docker, or set DOCKER_HOST";
        assert!(error.public_message().ends_with(advice), "{error:?}");
    };
    says_what_to_do(&host).await;
    // A socket nobody listens on.
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("bind"));
    says_what_to_do(&host).await;
    says_what_to_do(&format!("tcp://{}", crate::support::server::free_address())).await;
}

/// How fast it is; prints the medians and fails only when something is far off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_container_is_noticed_at_once() {
    let test = prepared().await;
    let mut events = test.runtime.events();
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..10 {
        let spec = test.spec();
        let began = Instant::now();
        let id = test.runtime.create(&spec).await.expect("create");
        times[0].push(began.elapsed());
        let began = Instant::now();
        test.runtime.start(&id).await.expect("start");
        times[1].push(began.elapsed());
        let began = Instant::now();
        test.runtime.stop(&id, Duration::ZERO).await.expect("stop");
        loop {
            let next = tokio::time::timeout(Duration::from_secs(10), events.next());
            if let Some(RuntimeEvent::Died { container, .. }) = next.await.expect("an event")
                && container == id
            {
                break;
            }
        }
        times[2].push(began.elapsed());
        let began = Instant::now();
        test.runtime.remove(&id).await.expect("remove");
        times[3].push(began.elapsed());
    }
    let medians = times.map(|mut t| {
        t.sort();
        t[t.len() / 2]
    });
    let [create, start, death, remove] = medians;
    assert!(death < Duration::from_secs(3), "{death:?}");
    let _ = std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!(
            "p50: create {create:?}, start {start:?}, kill to event {death:?}, remove {remove:?}\n"
        ),
    );
}
