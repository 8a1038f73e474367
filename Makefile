# For a newcomer: `make demo` and `make test` install what is missing, build, and run.
# For daily work: the presets of CMakePresets.json (cmake --preset dev, and so on).

build := build/default
compile := cmake --build --preset default --parallel $(shell nproc) --target

.PHONY: programs demo test format clean dependencies

# Ninja knows best what has to be built again, so it is asked every time.
programs: $(build)/build.ninja
	@$(compile) reconstruct evaluate mra simulate moments

# Make compares times once Ninja is done: an unchanged program leaves the demo's result standing.
$(build)/bin/reconstruct: programs
	@:

demo: demo/summary.json
	@echo "The result is in demo/: picture.png shows it below the truth, summary.json has the figures."

demo/summary.json: $(build)/bin/reconstruct
	$< -o demo --overwrite

test: $(build)/build.ninja
	@$(compile) all
	ctest --preset default --parallel $(shell nproc)

$(build)/build.ninja: | dependencies
	cmake --preset default

# Silent where nothing is missing; asks for a password only where something is and you are not root.
dependencies:
	@scripts/install-dependencies

format:
	@scripts/format

clean:
	rm -rf build demo
