//! Reading a whole menu: in full, and by guests who have it already.

use std::sync::Arc;

use anyhow::Result;

use super::Setting;
use crate::{
    load::{self, per},
    menu::{self, Reader},
    people::{DISHES, People},
    platform::Platform,
    report::{Section, Target, say},
};

pub(super) async fn run(setting: &Setting<'_>, section: &mut Section<'_>) -> Result<()> {
    let (engine, options) = (section.engine(), setting.options);
    say(format_args!("menu, {}", engine.name()));
    let mut platform = Platform::started(setting.program, engine).await?;
    let people = Arc::new(People::register(&platform, options.clients, 0).await?);
    let menu = menu::look(&platform, &people).await?;
    section.figure("dishes of the menu", per(DISHES as u64), "dishes");
    section.figure("its body, not compressed", per(menu.length as u64), "bytes");

    for (what, knowing, target) in [("read", false, 10_000.0), ("not modified", true, 30_000.0)] {
        let readers = Reader::many(&platform, &people, &menu, knowing, options.clients);
        let meter = platform.meter()?;
        let (read, _) = load::closed(readers, &meter, setting.warm_up(), setting.span()).await?;
        let target = Some(Target::AtLeast(target));
        section.promised(what, read.per_second(), "requests/s", target);
        section.times(what, &read.times, None);
        section.usage(what, &read);
    }
    platform.stop().await
}
