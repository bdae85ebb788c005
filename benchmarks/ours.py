"""jaxcolor's side of `predict`, `train` and `lab`: python -m benchmarks.ours WORK ARGUMENTS."""

from __future__ import annotations

import functools
import runpy
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import ROOT, serve

Work = tuple[Callable[[], Any], float]  # what to do, and how many GFLOP it is


def recipe(name: str) -> Any:
    """A config of `configs/`."""
    return runpy.run_path(str(ROOT / "configs" / f"{name}.py"))["get_config"]()


def made_up(tree: Any) -> Any:
    """Small values of these shapes: speed does not depend on them, as long as none overflows."""
    return jax.tree.map(lambda leaf: jnp.full(leaf.shape, 1e-3), tree)


def predict(name: str, size: str, batch: str) -> Work:
    """The network of shipped weights or of a recipe, from small L to small Lab."""
    from jaxcolor import weights
    from jaxcolor.models import Config, Params, make_network
    from jaxcolor.predict import framing, pure
    from jaxcolor.predict.view import View

    if name in weights.available_models():
        params = weights.load(name)
    else:
        config = Config.from_json(recipe(name).network.to_dict())
        seen = jax.ShapeDtypeStruct((1, config.size, config.size, 1), "float32")
        shapes = jax.eval_shape(make_network(config).init, jax.random.key(0), seen)
        params = Params(config, made_up(shapes))
    params = jax.device_put(params.with_size(int(size) or None))
    side = params.config.input_size
    lightness = np.random.default_rng(0).uniform(0, 100, (int(batch), side, side)).astype("f4")
    if params.config.prediction.fitted:
        back = framing.back_matrices((side, side), framing.content(lightness[0]))
        views = View(lightness, lightness, *(np.stack([matrix] * int(batch)) for matrix in back))
    else:
        views = View(lightness, lightness)
    return lambda: np.asarray(pure.predict(params, views)), gflop(pure.predict, params, views)


def encoder_to_decoder(size: str, batch: str) -> Work:
    """The part of Deep Koalarization that is trained, forwards."""
    apply, params, seen, _ = _seed(int(size), int(batch))
    compiled = jax.jit(apply)
    return lambda: np.asarray(compiled(params, *seen)), gflop(apply, params, *seen)


def train(size: str, batch: str) -> Work:
    """A step of Adam on the part of Deep Koalarization that is trained."""
    import optax

    apply, params, seen, truth = _seed(int(size), int(batch))
    optimizer = optax.adam(1e-3)

    def loss(params: Any) -> Any:
        return jnp.mean(jnp.square(apply(params, *seen) - truth))

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def advance(params: Any, state: Any) -> Any:
        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    held = [params, optimizer.init(params)]

    def run() -> None:
        *held[:], value = advance(*held)
        np.asarray(value)

    return run, 3 * gflop(apply, params, *seen)


def _seed(size: int, batch: int) -> tuple[Any, ...]:
    """The network without its backbone, its parameters, what it sees and what it should give."""
    from jaxcolor.models import Config, make_network
    from jaxcolor.models.colorizer import read_chroma

    config = Config().predicting(size=size)
    network = make_network(config)
    rng = np.random.default_rng(0)
    lightness, logits, truth = (
        jnp.asarray(rng.uniform(-1, 1, (batch, *shape)), jnp.float32)
        for shape in ((size, size, 1), (1000,), (size, size, 2))
    )

    def apply(params: Any, lightness: Any, logits: Any) -> Any:
        output: Any = network.apply({"params": params}, lightness, logits, method="chroma")
        return read_chroma(config, output)

    init = jax.jit(functools.partial(network.init, method="chroma"))
    return apply, init(jax.random.key(0), lightness, logits)["params"], (lightness, logits), truth


def step(name: str, size: str, batch: str) -> Work:
    """A whole train step of a recipe at another size: Lab, backbone, gradient, AdamW, average."""
    from jaxcolor.models import Config, Params, make_network

    config, side = recipe(name), int(size)
    config.network.size = config.crop = side
    network = Config.from_json(config.network.to_dict())
    seen = jax.ShapeDtypeStruct((1, side, side, 1), "float32")
    shapes = jax.eval_shape(make_network(network).init, jax.random.key(0), seen)
    state, advance, _ = trainer(config, Params(network, made_up(shapes)))
    photos = {"rgb": jax.random.bits(jax.random.key(0), (int(batch), side, side, 3), "uint8")}
    operations = gflop(advance, state, photos)

    def run() -> None:
        nonlocal state
        state, metrics = advance(state, photos)
        jax.block_until_ready(metrics)

    return run, operations


def trainer(config: Any, params: Any) -> tuple[Any, ...]:
    """State, step and mesh, as the loop makes them.

    Args:
      config: a recipe.
      params: the colorizer before the first step.
    """
    from jaxcolor.training import init_state, make_train_step, sharding, start

    mesh = sharding.make_mesh()
    optimizer = start.make_optimizer(config)
    loss = start.make_loss(config, params.config, lambda: [])
    state = init_state(params, optimizer, tuned_from=config.tuned_from, mesh=mesh)
    options = start.fields(config, make_train_step)
    advance = make_train_step(params.config, loss, optimizer, mesh=mesh, **options)
    return state, advance, mesh


def lab(megapixels: str) -> Work:
    """RGB to Lab and back, 8 bits, by strips as `colorize` goes through a picture."""
    from jaxcolor import color

    @jax.jit
    def there_and_back(rgb: Any) -> Any:
        back = color.lab_to_rgb(color.rgb_to_lab(rgb.astype(jnp.float32) / 255))
        return (back * 255 + 0.5).astype(jnp.uint8)

    strips = random_picture(float(megapixels)).reshape(-1, STRIP, 3)
    return lambda: [np.asarray(there_and_back(strip)) for strip in strips], 0.0


STRIP = 2**18  # pixels


def random_picture(megapixels: float) -> np.ndarray:
    """Colours of all kinds, (H, W, 3) uint8, as many whole strips as come near the megapixels."""
    strips = round(megapixels * 1e6 / STRIP)
    return np.random.default_rng(0).integers(0, 256, (strips, STRIP, 3), np.uint8)


def gflop(function: Callable[..., Any], *arguments: Any) -> float:
    """Multiplications and additions of the matrix products and convolutions of its plain form."""
    return _operations(jax.make_jaxpr(function)(*arguments).jaxpr) / 1e9


def _operations(jaxpr: Any) -> float:
    total = 0.0
    for equation in jaxpr.eqns:
        params = equation.params
        if equation.primitive.name == "dot_general":
            (left, _), _ = params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            out = equation.outvars[0].aval.size
            total += 2 * out * float(np.prod([shape[axis] for axis in left]))
        elif equation.primitive.name == "conv_general_dilated":
            kernel, out = equation.invars[1].aval, equation.outvars[0].aval.size
            filters = kernel.shape[params["dimension_numbers"].rhs_spec[0]]
            total += 2 * out * kernel.size / filters
        elif equation.primitive.name == "cond":  # of the platforms' forms the plain one is last
            total += _operations(params["branches"][-1].jaxpr)
        else:
            inner = [params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in params]
            times = params.get("length", 1) if equation.primitive.name == "scan" else 1
            total += times * sum(_operations(getattr(j, "jaxpr", j)) for j in inner)
    return total


def profile(work: Callable[[], Any], count: int = 30) -> None:
    """Prints which of XLA's operations the time goes into: of one run, after one that compiles."""
    from jax.profiler import ProfileData

    work()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            work()
        (file,) = Path(folder).rglob("*.xplane.pb")
        total: Counter[str] = Counter()
        for plane in ProfileData.from_file(str(file)).planes:
            for event in (event for line in plane.lines for event in line.events):
                if "hlo_op" in (stats := dict(event.stats)):
                    total[str(stats["hlo_op"])] += event.duration_ns / 1e6
    for operation, milliseconds in total.most_common(count):
        print(f"{milliseconds:9.2f} ms  {operation}")


WORKS: dict[str, Callable[..., Work]] = {
    "predict": predict,
    "encoder_to_decoder": encoder_to_decoder,
    "train": train,
    "step": step,
    "lab": lab,
}

if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--profile"]
    made = WORKS[arguments[0]](*arguments[1:])
    if "--profile" in sys.argv:
        profile(made[0])
    else:
        serve(*made)
