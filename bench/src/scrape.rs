//! Reads what a process tells on `/metrics`.

/// One reading of every metric.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scrape(Vec<(String, f64)>);

impl Scrape {
    /// Reads the Prometheus text format; a line that is none is left out.
    pub(crate) fn parse(text: &str) -> Self {
        let rows = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(rows.collect())
    }

    /// The sum of all metrics whose name, without labels, ends in `suffix`, but those whose line
    /// holds one of `without`.
    pub(crate) fn sum(&self, suffix: &str, without: &[&str]) -> f64 {
        let wanted = |name: &str| {
            let bare = name.split('{').next().unwrap_or_default();
            bare.ends_with(suffix) && !without.iter().any(|one| name.contains(one))
        };
        self.0.iter().filter(|(name, _)| wanted(name)).map(|(_, value)| value).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_all_roles_are_added_up() {
        let scrape = Scrape::parse(
            "# HELP bistro_orders_works_total Works\n\
             bistro_orders_works_total{cause=\"request\"} 3\n\
             bistro_orders_works_total{cause=\"tick\"} 7\n\
             bistro_catalog_works_total{cause=\"request\"} 2\n\
             bistro_orders_events_total 5\n\
             rubbish\n",
        );
        assert!((scrape.sum("_works_total", &["cause=\"tick\""]) - 5.0).abs() < f64::EPSILON);
        assert!((scrape.sum("_works_total", &[]) - 12.0).abs() < f64::EPSILON);
        assert!((scrape.sum("_events_total", &[]) - 5.0).abs() < f64::EPSILON);
    }
}
