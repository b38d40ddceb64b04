# Every target is a script that says what it does; see scripts/.
.DEFAULT_GOAL := help
.PHONY: help run test bench lint sqlx

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

run: ## install what is missing, build, start Portolan and stay in the foreground
	@scripts/run.sh

test: ## install what the tests need and run them all
	@scripts/test.sh

bench: ## measure Portolan beside its peers; writes benches/results.md
	@scripts/bench.sh

lint: ## format, clippy, query cache, dependency checks
	@scripts/lint.sh

sqlx: ## write .sqlx anew after a change of SQL
	@scripts/sqlx-prepare.sh
