"""Triton kernels, each beside the plain version it is compared with; imports nothing of ours.

`kernels.sru`     c_k = f_k·c_{k−1} + e_k along the leading axis, forward and backward
`kernels.ladder`  z ← cos(ω)·z − sin(ω)·v with its own ω for every frame, guidance included

Each file holds the plain version in torch (the truth, and what runs where Triton cannot: on a CPU,
or without `pip install perpetuo[kernels]`) and a kernel that reads and writes memory once. A
kernel computes in float32, in float64 for float64, whatever the tensors are.

Who uses them: training on a GPU (`model.layers`), the torch backend of the engine (every Scan that
is this recurrence, and the ladder step of a tick in one piece), and `make gpu`, which measures
them.

How they are compared (tests/test_kernels_*.py, on any machine, no GPU needed):

- The kernels run under Triton's interpreter (TRITON_INTERPRET=1 before the import) at awkward
  sizes: lengths 1, 63 and 65, 500 columns. The truth is the plain version in float64. The greatest
  error of the kernel may be twice that of the plain version in the tensors' own type; in bfloat16
  three times, because the interpreter truncates where a GPU rounds.
- Memory that is not initialised is filled with NaN, so an element that is not written shows.
- Gradients: finite differences in float64, and the plain version's own.
- Every kernel is compiled to PTX and machine code for sm_80 and sm_90 by the assembler in Triton's
  wheel, in float32, bfloat16 and float16.

**Not run on a GPU yet**: no figure of speed is known, block sizes are chosen by arithmetic. What
the interpreter cannot show: races, the hardware's own rounding, memory beyond a mask.
"""
