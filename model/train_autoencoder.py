"""Train an autoencoder: `python -m model.train_autoencoder --data DIR --out RUN`.

The live form: first reconstruction and KL; then, with the encoder and its latents frozen, the
adversarial stage (`--adversarial-minutes`), which sharpens the decoder without moving what the
diffusion learnt. The published form (`--preset paper`): its own losses, in one stage, against its
discriminators from the start (`model.train_autoencoder_paper`). Resumable: run the same command
again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from engine import ranges
from model import losses
from model.autoencoder import LiveAutoencoder
from model.autoencoder_paper import PaperAutoencoder, PaperPreset
from model.discriminators import Discriminators, opinion, teach
from model.excerpts import Autoencoder, Excerpts, sampled, set_statistics, validate
from model.partials import tone_loss
from model.presets import PRESETS, Codec, Preset
from model.rarity import taken_oftener
from model.train_autoencoder_paper import train_published
from model.training import Average, Budget, Run, clip_and_step, cores

STEPPED = {"lr": 1e-3, "kl": 8e-3, "pitch": 1.0, "purity": 1.0, "tones": 1.0, "mel": 1.0,
           "timbres": 0.3, "rare": 5.0, "discriminator_width": 8}  # fmt: skip
PUBLISHED = {"lr": 2e-4, "kl": losses.Weights().kl, "pitch": 0.0, "purity": 0.0,
             "tones": 0.0, "mel": 0.0, "timbres": 0.0, "rare": 1.0,
             "discriminator_width": 32}  # fmt: skip
"""What the options of the live and of the published form are where they are not given."""
ALONE = 0.5
"""Part of the posterior's spread that a decoder meets which is trained without its encoder."""
STFTS = (losses.Stft(2048, 2048, 512), losses.Stft(1024, 1024, 256), losses.Stft(256, 256, 64))


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    p = argparse.ArgumentParser(prog="model.train_autoencoder", description=__doc__)
    p.add_argument("--data", type=Path, required=True, help="prepared folder (model.corpus)")
    p.add_argument("--out", type=Path, required=True, help="run folder, resumed if it exists")
    p.add_argument("--preset", choices=list(PRESETS), default="live")
    p.add_argument("--init", type=Path, help="run folder whose weights to start from")
    p.add_argument("--keep-latents", action="store_true",
                   help="train the decoder of --init only; its latents stay")  # fmt: skip
    p.add_argument("--steps", type=int, default=20_000)
    p.add_argument("--minutes", type=float, default=60.0)
    p.add_argument("--adversarial-minutes", type=float, default=0.0,
                   help="of a second stage; the published form has one stage only")  # fmt: skip
    p.add_argument("--batch", type=int, default=12)
    p.add_argument("--seconds", type=float, default=1.0, help="length of an excerpt")
    p.add_argument("--lr", type=float, help="default: 1e-3; published form 2e-4")
    p.add_argument("--kl", type=float, help="weight; default: 8e-3; published form 5e-3")
    p.add_argument("--pitch", type=float,
                   help="quarter-tone loss; default: 1; published form 0")  # fmt: skip
    p.add_argument("--purity", type=float,
                   help="loss between partials; default: 1; published form 0")  # fmt: skip
    p.add_argument("--tones", type=float,
                   help="loss of oscillators' levels; default: 1; published form 0")  # fmt: skip
    p.add_argument("--mel", type=float,
                   help="loss of mel bands, by 10 dB; default: 1; published form 0")  # fmt: skip
    p.add_argument("--timbres", type=ranges.part,
                   help="part in other timbres; default: 0.3; published form 0")  # fmt: skip
    p.add_argument("--corpus", type=Path, help="the corpus's folder, for its truth")
    p.add_argument("--rare", type=ranges.number(1.0, 100.0),
                   help="songs with rare instruments are taken so many times as often; default: 5; "
                        "published form 1")  # fmt: skip
    p.add_argument("--discriminator-width", type=int, help="default: 8; published form 32")
    p.add_argument("--validate-every", type=int, default=400)
    p.add_argument("--device", default="cpu", help="of the published form: cpu or cuda")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=1)
    return p


def encoded(network: LiveAutoencoder, audio: Tensor) -> tuple[Tensor, Tensor]:
    """audio -> mean, log variance of its latents, float32."""
    with matrix_products_in_bf16():
        mean, log_variance = network.encode(audio)
    return mean.float(), log_variance.float()


def decode_anywhere(network: LiveAutoencoder, latents: Tensor) -> tuple[Tensor, Tensor]:
    """latents [B, frames, dim] -> audio, log levels of the oscillators.

    From the initial state, but at a random time of the clock. The inverse transform stays in fp32:
    bf16 would put noise 50 dB under every peak.
    """
    decoder = network.decoder
    clock = torch.randint(0, decoder.clock.period, (1,))
    states = decoder.initial_states(latents.shape[0])
    with matrix_products_in_bf16():
        features, tones, _ = decoder.features(latents, states)
    frames, _ = decoder.windows(features.float(), tones.float(), clock)
    return decoder.overlap_add(frames, states["overlap"])[0], tones.float()


def matrix_products_in_bf16() -> torch.autocast:
    """Twice as fast where the processor knows bf16; only training runs under it."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.is_grad_enabled())


def checked(network: LiveAutoencoder, excerpts: Excerpts, run: Run) -> float:
    """The validation of an averaged network."""
    return validate(network, lambda latents: decode_anywhere(network, latents)[0], excerpts, run)


def reconstruction_loss(
    network: LiveAutoencoder, copy: Tensor, tones: Tensor, audio: Tensor, step: int,
    args: argparse.Namespace,
) -> Tensor:  # fmt: skip
    """All that is heard of a copy without discriminators, in both stages.

    Every other step listens to middle and side instead of left and right.
    """
    rate_hz, loss = network.preset.sample_rate_hz, copy.new_zeros(())
    if args.tones and tones.shape[-1]:
        loss = args.tones * tone_loss(tones, network.partials(audio))
    if step % 2:
        copy, audio = losses.middle_and_side(copy), losses.middle_and_side(audio)
    loss = loss + losses.live_spectral_loss(copy, audio, rate_hz, STFTS)
    return loss + losses.listening_loss(copy, audio, rate_hz, args.pitch, args.purity, args.mel)


def train(network: LiveAutoencoder, excerpts: Excerpts, run: Run, args: argparse.Namespace) -> None:
    """The first stage: spectra and KL."""
    network.encoder.requires_grad_(not args.keep_latents)
    average = Average(network, 0.999)
    learning = [p for p in network.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learning, args.lr, betas=(0.8, 0.99))
    parts = {"network": network, "average": average.network, "optimiser": optimiser}
    if run.load(parts) and run.finished:
        return  # the statistics are part of the latents by now and must not move
    average.updates = run.step
    for bar in run.steps([optimiser]):
        audio = excerpts.batch(args.batch)
        mean, log_variance = encoded(network, audio)
        spread = ALONE if args.keep_latents else 1.0
        copy, tones = decode_anywhere(network, sampled(mean, log_variance, spread))
        heard = reconstruction_loss(network, copy, tones, audio, run.step, args)
        loss = heard + args.kl * losses.kl_loss(mean, log_variance)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_and_step(optimiser, network, 1.0)
        average.update(network)
        if run.step % args.validate_every == args.validate_every - 1:
            error = checked(average.network, excerpts, run)
            bar.set_postfix_str(f"loss {loss.item():.3f}, held-out mel error {error:.2f} dB")
        if run.due():
            run.save(parts, preset=args.preset)
    if not args.keep_latents:
        set_statistics(average.network, excerpts)
    checked(average.network, excerpts, run)
    run.save(parts, preset=args.preset)
    run.plot(["mel_error_db", "kl"])


def train_adversarial(
    network: LiveAutoencoder, excerpts: Excerpts, run: Run, args: argparse.Namespace
) -> None:
    """The second stage: the decoder against the discriminators, on fixed latents."""
    weights = losses.Weights()
    network.encoder.requires_grad_(False)
    judges = Discriminators(args.discriminator_width)
    average = Average(network, 0.998)
    mine = torch.optim.AdamW(network.decoder.parameters(), args.lr / 4, betas=(0.8, 0.99))
    theirs = torch.optim.AdamW(judges.parameters(), args.lr / 4, betas=(0.8, 0.99))
    parts = {"network": network, "average": average.network, "judges": judges, "mine": mine,
             "theirs": theirs}  # fmt: skip
    run.load(parts)
    average.updates = run.step
    for bar in run.steps([mine, theirs]):
        audio = excerpts.batch(max(2, args.batch // 3))
        with torch.no_grad():
            mean, log_variance = network.encode(audio)
        copy, tones = decode_anywhere(network, sampled(mean, log_variance, ALONE))
        teach(judges, theirs, audio, copy)
        features, adversarial = opinion(judges, audio, copy)
        heard = reconstruction_loss(network, copy, tones, audio, run.step, args)
        loss = (
            weights.spectral / 5 * heard
            + weights.features / 5 * features
            + weights.adversarial * adversarial
        )
        loss.backward()  # type: ignore[no-untyped-call]
        clip_and_step(mine, network.decoder, 5.0)
        average.update(network)
        if run.step % args.validate_every == args.validate_every - 1:
            error = checked(average.network, excerpts, run)
            bar.set_postfix_str(f"loss {loss.item():.3f}, held-out mel error {error:.2f} dB")
        if run.due():
            run.save(parts, preset=args.preset)
    checked(average.network, excerpts, run)
    run.save(parts, preset=args.preset)
    run.plot(["mel_error_db"])


def load_autoencoder(folder: Path) -> tuple[Autoencoder, Preset]:
    """The averaged autoencoder of a run folder, after its adversarial stage if it has one."""
    second = folder / "adversarial" / "checkpoint.pt"
    path = second if second.exists() else folder / "checkpoint.pt"
    state = torch.load(path, map_location="cpu", weights_only=True)
    preset = PRESETS[state["preset"]]
    network = untrained(preset.autoencoder)
    network.load_state_dict(state["average"])
    return network.eval(), preset


def untrained(codec: Codec) -> Autoencoder:
    """The network of these sizes."""
    if isinstance(codec, PaperPreset):
        return PaperAutoencoder(codec)
    return LiveAutoencoder(codec)


def settle(args: argparse.Namespace) -> None:
    """Fill in what was not given; SystemExit for options that do not go together."""
    published = isinstance(PRESETS[args.preset].autoencoder, PaperPreset)
    if args.keep_latents and not args.init:
        raise SystemExit("--keep-latents keeps those of --init RUN: name one")
    if published and args.adversarial_minutes:
        raise SystemExit(
            f"--preset {args.preset} trains against its discriminators from the start: "
            "leave --adversarial-minutes out"
        )
    if published and args.tones:
        raise SystemExit(f"--preset {args.preset} has no oscillators: leave --tones out")
    if not published and args.device != "cpu":
        raise SystemExit(f"--preset {args.preset} trains on the CPU: leave --device out")
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit(f"--device {args.device}: torch sees no GPU here; leave --device out")
    for name, value in (PUBLISHED if published else STEPPED).items():
        if getattr(args, name) is None:
            setattr(args, name, value)


def main(argv: list[str] | None = None) -> int:
    """Run the one stage of the published form, or both of the live one."""
    args = parser().parse_args(argv)
    settle(args)
    codec = PRESETS[args.preset].autoencoder
    with cores(args.threads, args.seed) as generator:
        network = untrained(codec)
        if args.init:
            start_from(network, args.init, args.preset)
        excerpts = Excerpts(args.data, codec, args.seconds, generator, args.device, args.timbres)
        names = [song.name for song in excerpts.songs.split("train")]
        excerpts.songs.oftener = taken_oftener(args.corpus, names, args.rare)
        run = Run(args.out, Budget(args.steps, args.minutes))
        if isinstance(network, PaperAutoencoder):
            train_published(network.to(args.device), excerpts, run, args)
            return 0
        train(network, excerpts, run, args)
        if args.adversarial_minutes:
            network, _ = load_autoencoder(args.out)
            assert isinstance(network, LiveAutoencoder)
            run = Run(args.out / "adversarial", Budget(10**9, args.adversarial_minutes))
            train_adversarial(network.train(), excerpts, run, args)
    return 0


def start_from(network: Autoencoder, folder: Path, preset: str) -> None:
    """The weights of another run; SystemExit unless it is of the same preset."""
    found, of = load_autoencoder(folder)
    if of.name != preset:
        raise SystemExit(f"--init {folder} is of preset {of.name}: say --preset {of.name}")
    network.load_state_dict(found.state_dict())


if __name__ == "__main__":
    raise SystemExit(main())
