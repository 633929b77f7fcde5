//! How far a command has come: a line that moves for whoever sits at a terminal, and plain lines in a
//! log.

use crate::platform::{Platform, Topology};

/// What moves the line: back to its beginning, and nothing left of it.
const AGAIN: &str = "\r\u{1b}[2K";

const MENU: &str = "\
kind,item,price,ingredients
item,Margherita,9.50,Mozzarella | Basil
item,Marinara,8.00,Garlic
item,Water,1.20,
";
const ORDERS: &str = "\
order,placed_at,item,quantity
1,2024-04-01T19:00,Margherita,1
2,2024-04-01T19:01,Marinara,2
3,2024-04-01T19:02,Water,1
";

#[tokio::test(flavor = "multi_thread")]
async fn a_line_moves_on_a_terminal_and_lines_are_plain_elsewhere() {
    // The demonstration and the simulation bring couriers, who would work for others too.
    let platform = Platform::start(Topology::Embedded, &[]).await;
    let folder = platform.sandbox.path();
    std::fs::write(folder.join("menu.csv"), MENU).expect("a file");
    std::fs::write(folder.join("orders.csv"), ORDERS).expect("a file");
    let watched = async |words: &[&str], shown: &[&str]| {
        let (code, screen) = platform.watch(words).await;
        assert_eq!(code, 0, "{words:?}: {screen}");
        for part in [&[AGAIN][..], shown].concat() {
            assert!(screen.contains(part), "{words:?} does not show {part:?}: {screen:?}");
        }
        screen
    };
    let logged = async |words: &[&str], line: &str| {
        let (code, _, said) = platform.try_run(words).await;
        assert_eq!(code, 0, "{words:?}: {said}");
        assert!(!said.contains(['\u{1b}', '\r']), "{words:?} moves a line in a log: {said:?}");
        assert!(said.lines().any(|one| one == line), "{words:?} does not say {line:?}: {said}");
    };

    let screen = watched(&["demo"], &["people", "The Signal Box", "couriers"]).await;
    assert!(!screen.contains("demo: "), "a plain line on a terminal: {screen:?}");
    logged(&["demo"], "demo: couriers").await;

    let import = ["import", "menu", "menu.csv", "--new", "Takeaway"];
    let screen = watched(&import, &["ingredient 3 of 3", "items 1 to 3 of 3"]).await;
    assert!(!screen.contains("import: "), "a plain line on a terminal: {screen:?}");
    logged(&import, "import: items 1 to 3 of 3").await;
    let anew = ["import", "menu", "menu.csv", "--new", "Delivery"];
    logged(&anew, "import: 3 ingredients").await;

    let simulate = |journal| {
        let words = ["simulate", "orders.csv", "--restaurant", "Takeaway", "--couriers", "1"];
        [&words[..], &["--journal", journal]].concat()
    };
    watched(&simulate("watched.journal"), &["0/6 accounts", "0/3 orders"]).await;
    let making = "making 3 customers, 1 courier, a manager and a chef";
    logged(&simulate("logged.journal"), making).await;
}
