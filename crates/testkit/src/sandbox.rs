//! A folder for programs under test that leaves neither files nor processes behind, however the test ends.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::process::Process;

/// Puts its process group's number into the folder `$0`, then becomes the program. If the folder is gone (the test has
/// ended meanwhile) the program does not start.
const REGISTER: &str = r#": > "$0/$$" && exec "$@""#;

/// The folder that a small disk is mounted on; the watchdog knows it too.
pub(crate) const SMALL_DISK: &str = "disk";

/// Waits for the end of its input, which is the end of the test process or of its [`Sandbox`], whichever comes first.
/// Then kills every process group that is registered, takes away the small disk if there is one, and removes the folder
/// `$0`. A dying process may still write into the folder, hence the second try; it may still have files of the disk
/// open, hence the lazy unmounting.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP
read -r _
for group in "$0"/groups/*; do kill -s KILL -- "-${group##*/}"; done
[ -d "$0/disk" ] && umount -l -- "$0/disk"
for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$0" && break; sleep 0.1; done
"#;

/// A temporary folder, and the processes that [`spawn`](Self::spawn) starts in it.
///
/// Dropping it kills the processes and removes the folder. A watchdog (a small shell in a process group of its own,
/// which waits on a pipe from this process) does the same when this process ends without dropping anything: after a
/// panic, an `exit`, an interrupt from the keyboard, `kill -9`, or for a server in a `static`. So no test needs to clean
/// up.
#[derive(Debug)]
pub struct Sandbox {
    path: PathBuf,
    watchdog: Child,
}

impl Sandbox {
    /// Makes an empty folder below the system's temporary folder. `name` becomes part of its name.
    pub fn new(name: &str) -> Result<Self> {
        let path = tempfile::Builder::new()
            .prefix(&format!("bistro-{name}-"))
            .tempdir()
            .context("cannot create a temporary folder")?
            .keep();
        let watchdog = Command::new("/bin/sh")
            .args(["-c", WATCHDOG])
            .arg(&path)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start /bin/sh")?;
        let sandbox = Self { path, watchdog };
        fs::create_dir(sandbox.groups()).context("cannot write into the temporary folder")?;
        Ok(sandbox)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command that runs `program` inside the sandbox. Add arguments and environment to it, then
    /// [`spawn`](Self::spawn) it. It runs in the folder unless told otherwise.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", REGISTER]).arg(self.groups()).arg(program).current_dir(&self.path);
        command
    }

    /// Starts a command made by [`command`](Self::command), as the leader of a process group of its own. Its output is
    /// appended to the file `<name>.log` in the folder.
    pub fn spawn(&self, mut command: Command, name: &str) -> Result<Process> {
        let log = self.path.join(format!("{name}.log"));
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let errors =
            output.try_clone().with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let registration = self.groups().join(child.id().to_string());
        Ok(Process::new(name, child, log, registration))
    }

    /// Mounts a file system in memory that holds `mebibytes` and gives its folder; it goes with the sandbox.
    ///
    /// A disk that can be filled without harm to the machine. Mounting needs root.
    pub fn small_disk(&self, mebibytes: u32) -> Result<PathBuf> {
        let folder = self.path.join(SMALL_DISK);
        fs::create_dir(&folder).context("cannot make a folder to mount a small disk on")?;
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(&folder)
            .output()
            .context("cannot run mount")?;
        ensure!(
            output.status.success(),
            "cannot mount a small disk, which needs root (`unshare --map-root-user --mount` gives enough of it): {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(folder)
    }

    fn groups(&self) -> PathBuf {
        self.path.join("groups")
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // It was our child and ends soon; that it cannot be waited for would change nothing here.
        let _ = self.watchdog.wait();
    }
}
