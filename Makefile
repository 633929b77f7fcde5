# The two commands of the README are `make run` and `make test`; `make help` lists the rest.
.PHONY: help run servers test check bench provision codegen

CARGO ?= cargo
DATA_DIR ?= bistro-data

help: ## List the commands.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

run: ## Build and serve the platform on the embedded engine, with invented restaurants in it.
	BISTRO__DATA_DIR=$(DATA_DIR) $(CARGO) run --release --locked --package bistro -- serve --demo

servers: provision ## Run a MongoDB and a RabbitMQ to try things out on, until Ctrl-C.
	$(CARGO) run --quiet --locked --package bistro-testkit --example servers

provision: ## Install the servers that the tests need.
	$(CARGO) xtask provision

test: provision ## Install what the tests need, then run all of them.
	$(CARGO) xtask test

check: ## Format, lints, stale generated files, direction of dependencies, links of the papers.
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) xtask codegen --check
	$(CARGO) xtask check-deps
	$(CARGO) xtask docs-links

codegen: ## Write the generated files again.
	$(CARGO) xtask codegen

bench: provision ## Measure; see bench/RESULTS.md.
	$(CARGO) run --release --locked --package bistro-bench -- all
