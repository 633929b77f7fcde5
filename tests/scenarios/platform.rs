//! A running platform on one of the three topologies, as real processes.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use bistro_client::Client;
use bistro_testkit::{MongoServer, Port, Process, RabbitServer, Sandbox, on_a_terminal, wait};
use tokio::sync::OnceCell;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_bistro");
/// How long a platform may take to start.
const START: Duration = Duration::from_secs(60);
/// How long anything that should happen may take to happen.
pub(crate) const SOON: Duration = Duration::from_secs(30);
pub(crate) const ROLES: &[&str] =
    &["accounts", "catalog", "payments", "orders", "kitchen", "delivery", "gateway"];
/// What processes that do not share a data directory share instead.
const SECRET: &str = "a secret for tests that is long enough";

/// How a platform is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topology {
    /// One process, the embedded engine.
    Embedded,
    /// One process, MongoDB and RabbitMQ.
    Servers,
    /// One process per role, MongoDB and RabbitMQ.
    Split,
}

/// One process of a platform.
pub(crate) struct Serve {
    pub(crate) process: Process,
    pub(crate) role: Option<&'static str>,
    pub(crate) admin: Port,
    pub(crate) grpc: Port,
}

/// A running platform. Dropping it kills it and removes its data.
pub(crate) struct Platform {
    pub(crate) sandbox: Sandbox,
    pub(crate) processes: Vec<Serve>,
    public: Port,
    environment: Vec<(String, String)>,
    pub(crate) topology: Topology,
    /// The broker, if it has one to itself.
    pub(crate) rabbit: Option<RabbitServer>,
}

impl Platform {
    /// The platform that all tests of this process share, for tests that leave it as it is.
    pub(crate) async fn shared(topology: Topology) -> &'static Self {
        static SHARED: [OnceCell<Platform>; 3] = [const { OnceCell::const_new() }; 3];
        SHARED[topology as usize].get_or_init(|| Self::start(topology, &[])).await
    }

    /// Like [`Self::shared`], a platform on which nobody is given much time.
    pub(crate) async fn hasty(topology: Topology) -> &'static Self {
        static HASTY: [OnceCell<Platform>; 3] = [const { OnceCell::const_new() }; 3];
        let settings = &[
            ("BISTRO__ORDERS__CONFIRM_WITHIN", "6s"),
            ("BISTRO__ORDERS__ACCEPT_WITHIN", "6s"),
            ("BISTRO__ORDERS__QUOTE_TTL", "10s"),
            ("BISTRO__CATALOG__RESERVATION_TTL", "7s"),
            ("BISTRO__DELIVERY__OFFER_TIMEOUT", "2s"),
            ("BISTRO__DELIVERY__ASSIGNMENT_RETRY", "200ms"),
        ];
        HASTY[topology as usize].get_or_init(|| Self::start(topology, settings)).await
    }

    /// A platform of its own, with `settings` in its environment.
    pub(crate) async fn start(topology: Topology, settings: &[(&str, &str)]) -> Self {
        let bus = match topology {
            Topology::Embedded => None,
            // Queues have fixed names: a virtual host serves one platform.
            Topology::Servers | Topology::Split => {
                Some(RabbitServer::virtual_host().await.expect("RabbitMQ"))
            }
        };
        Self::start_on(topology, bus, settings).await
    }

    /// Like [`Self::start`], on MongoDB and with a broker that can be killed.
    pub(crate) async fn with_a_broker(settings: &[(&str, &str)]) -> Self {
        let rabbit = RabbitServer::start().await.expect("RabbitMQ");
        let mut platform = Self::start_on(Topology::Servers, Some(rabbit.url()), settings).await;
        platform.rabbit = Some(rabbit);
        platform
    }

    async fn start_on(topology: Topology, bus: Option<String>, settings: &[(&str, &str)]) -> Self {
        let sandbox = Sandbox::new("platform").expect("a sandbox");
        let public = Port::reserve().expect("a port");
        let mut environment: Vec<(String, String)> = vec![
            ("BISTRO__GATEWAY__LISTEN".into(), public.addr().to_string()),
            ("BISTRO__GATEWAY__RATE_LIMIT__PER_SECOND".into(), "1000".into()),
            ("BISTRO__GATEWAY__RATE_LIMIT__BURST".into(), "1000".into()),
            // So that a test may ask from an address of its own.
            ("BISTRO__GATEWAY__TRUSTED_PROXIES".into(), "1".into()),
            ("BISTRO__SHUTDOWN__NOT_READY_DELAY".into(), "0s".into()),
            ("BISTRO__LOG__FORMAT".into(), "json".into()),
        ];
        if let Some(bus) = bus {
            let mongo = MongoServer::shared().await.expect("mongod");
            let database = format!("scenarios_{}", public.number());
            environment.extend([
                ("BISTRO__STORE".into(), mongo.url()),
                ("BISTRO__STORE_OPTIONS__DATABASE".into(), database),
                ("BISTRO__BUS".into(), bus),
                ("BISTRO__AUTH__WORKLOAD_SECRET".into(), SECRET.into()),
                ("BISTRO__AUTH__KEY_ENCRYPTION_SECRET".into(), SECRET.into()),
            ]);
        }
        let inherited = bistro_config::process_environment();
        environment
            .extend(inherited.into_iter().filter(|(name, _)| name == "BISTRO__GRPC__IN_PROCESS"));
        environment.extend(settings.iter().map(|(name, value)| ((*name).into(), (*value).into())));

        let roles: Vec<Option<&'static str>> = match topology {
            Topology::Split => ROLES.iter().map(|role| Some(*role)).collect(),
            _ => vec![None],
        };
        let ports: Vec<(Port, Port)> = roles
            .iter()
            .map(|_| (Port::reserve().expect("a port"), Port::reserve().expect("a port")))
            .collect();
        for (role, (grpc, _)) in roles.iter().zip(&ports) {
            if let Some(role) = role.filter(|role| *role != "gateway") {
                let name = format!("BISTRO__PEERS__{}", role.to_uppercase());
                environment.push((name, format!("http://{}", grpc.addr())));
            }
        }
        let mut platform =
            Self { sandbox, processes: Vec::new(), public, environment, topology, rabbit: None };
        for (role, (grpc, admin)) in roles.into_iter().zip(ports) {
            let process = platform.spawn(role, &grpc, &admin);
            platform.processes.push(Serve { process, role, admin, grpc });
        }
        platform.ready().await;
        platform
    }

    fn spawn(&self, role: Option<&str>, grpc: &Port, admin: &Port) -> Process {
        let mut command = self.command();
        command.arg("serve");
        if let Some(role) = role {
            command.args(["--target", role]);
        }
        command
            .env("BISTRO__GRPC__LISTEN", grpc.addr().to_string())
            .env("BISTRO__ADMIN__LISTEN", admin.addr().to_string());
        self.sandbox.spawn(command, role.unwrap_or("serve")).expect("bistro serve")
    }

    /// The program with this platform's configuration, and no other.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.sandbox.command(Path::new(PROGRAM));
        for name in bistro_config::process_environment().keys() {
            if name.starts_with("BISTRO") {
                command.env_remove(name);
            }
        }
        command
            .env("BISTRO__DATA_DIR", self.sandbox.path().join("data"))
            .env("BISTRO_URL", self.url())
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a client command, and gives its standard output. Panics with what it complains about.
    pub(crate) async fn run(&self, arguments: &[&str]) -> String {
        let (code, output, complaint) = self.try_run(arguments).await;
        assert_eq!(code, 0, "bistro {}: {complaint}\n{output}", arguments.join(" "));
        output
    }

    /// Runs a client command; gives its exit code, standard output and standard error.
    pub(crate) async fn try_run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = self.command();
        command.args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .expect("bistro can be run");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    /// Runs a client command with a terminal as its standard error; gives its exit code, and what
    /// the terminal was sent.
    pub(crate) async fn watch(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = self.command();
        command.args(arguments).env("TERM", "xterm").stdout(Stdio::null());
        let watched = tokio::task::spawn_blocking(move || on_a_terminal(command)).await.unwrap();
        let (status, shown) = watched.expect("bistro can be run");
        (status.code().unwrap_or(-1), shown)
    }

    /// Kills process `index` as `kill -9` does, and starts it again.
    pub(crate) async fn crash(&mut self, index: usize) {
        self.processes[index].process.kill().expect("kill -9");
        let serve = &self.processes[index];
        let again = self.spawn(serve.role, &serve.grpc, &serve.admin);
        self.processes[index].process = again;
        self.ready().await;
    }

    /// Asks process `index` to stop, waits until it has, and starts it again.
    pub(crate) async fn restart(&mut self, index: usize) {
        let id = self.processes[index].process.id().to_string();
        let sent = Command::new("kill").args(["-s", "TERM", &id]).status().expect("kill");
        assert!(sent.success(), "{sent}");
        let process = &mut self.processes[index].process;
        let status = wait::until("it ends", SOON, async || {
            process.ended().unwrap().ok_or_else(|| process.last_words())
        })
        .await;
        assert!(status.success(), "{status}");
        let serve = &self.processes[index];
        let again = self.spawn(serve.role, &serve.grpc, &serve.admin);
        self.processes[index].process = again;
        self.ready().await;
    }

    /// Kills process `index`, does `work` on its data directory while nobody holds it, and starts
    /// the process again.
    pub(crate) async fn interlude(&mut self, index: usize, work: impl AsyncFnOnce(&Path)) {
        self.processes[index].process.kill().expect("kill -9");
        work(&self.sandbox.path().join("data")).await;
        let serve = &self.processes[index];
        let again = self.spawn(serve.role, &serve.grpc, &serve.admin);
        self.processes[index].process = again;
        self.ready().await;
    }

    /// The files that its processes log to.
    pub(crate) fn logs(&self) -> Vec<PathBuf> {
        self.processes.iter().map(|serve| serve.process.log().to_owned()).collect()
    }

    /// What the environment of its processes says of `name`.
    pub(crate) fn setting(&self, name: &str) -> &str {
        let set = self.environment.iter().find(|(known, _)| known == name);
        set.map_or("", |(_, value)| value)
    }

    /// The secret by which its roles know each other.
    pub(crate) fn workload_secret(&self) -> Vec<u8> {
        match self.setting("BISTRO__AUTH__WORKLOAD_SECRET") {
            "" => std::fs::read(self.sandbox.path().join("data/workload-secret")).expect("one"),
            secret => secret.as_bytes().to_vec(),
        }
    }

    /// Waits until every process says that it is ready.
    async fn ready(&mut self) {
        let client = plain();
        for serve in &mut self.processes {
            let url = format!("http://{}/readyz", serve.admin.addr());
            let process = &mut serve.process;
            wait::until("the platform is ready", START, async || {
                if let Some(status) = process.ended().unwrap() {
                    panic!("bistro ended with {status}: {}", process.last_words());
                }
                match get(&client, &url).await {
                    Some((200, _)) => Ok(()),
                    other => Err(other),
                }
            })
            .await;
        }
    }

    /// Where the public API answers.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.public.addr())
    }

    /// A client who is nobody in particular.
    pub(crate) fn anybody(&self) -> Client {
        Client::new(&self.url()).expect("a URL")
    }

    /// A client with the operator's token.
    pub(crate) fn operator(&self) -> Client {
        let path = self.sandbox.path().join("data/operator-token");
        let token = std::fs::read_to_string(path).expect("an operator token");
        self.anybody().with_token(&token).expect("a token")
    }

    /// The sum over all processes of every metric whose name ends in `suffix` and whose line holds
    /// none of `without`.
    pub(crate) async fn metric(&self, suffix: &str, without: &[&str]) -> f64 {
        let client = plain();
        let mut sum = 0.0;
        for serve in &self.processes {
            let url = format!("http://{}/metrics", serve.admin.addr());
            let (_, text) = get(&client, &url).await.expect("metrics");
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let (name, value) = line.rsplit_once(' ').expect("a metric");
                let bare = name.split('{').next().unwrap_or_default();
                if bare.ends_with(suffix) && !without.iter().any(|one| name.contains(one)) {
                    sum += value.parse::<f64>().expect("a number");
                }
            }
        }
        sum
    }
}

type Plain = hyper_util::client::legacy::Client<
    hyper_util::client::legacy::connect::HttpConnector,
    http_body_util::Empty<&'static [u8]>,
>;

/// A client of plain HTTP, for the admin port.
pub(crate) fn plain() -> Plain {
    hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http()
}

/// Status and text at `url`; none when nothing answers.
pub(crate) async fn get(client: &Plain, url: &str) -> Option<(u16, String)> {
    use http_body_util::BodyExt as _;
    let response = client.get(url.parse().expect("a URL")).await.ok()?;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.ok()?.to_bytes();
    Some((status, String::from_utf8_lossy(&bytes).into_owned()))
}

/// Runs a scenario on every topology: `on_every_topology!(whole_life)`.
macro_rules! on_every_topology {
    ($($name:ident),* $(,)?) => {
        mod embedded {$(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::platform::Topology::Embedded).await;
            }
        )*}
        mod servers {$(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::platform::Topology::Servers).await;
            }
        )*}
        mod split {$(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(crate::platform::Topology::Split).await;
            }
        )*}
    };
}
pub(crate) use on_every_topology;
