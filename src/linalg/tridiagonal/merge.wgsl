// What the kernels of the divide and conquer share: one merge of two blocks of `half` columns.

struct Params {
  side: u32,
  half: u32,  // columns of a block; a merge has two, at the end of the matrix fewer
}

// Columns start .. middle - 1 are the first block's, middle .. end - 1 the second's.
struct Merge {
  start: u32,
  middle: u32,
  end: u32,
}

// A pole of D + rho z z^T and its weight, its entry of z.
struct Pole {
  value: f32,
  weight: f32,
  vector: u32,  // the row of Z^T, the eigenvector so far, that it belongs to
  reserved: u32,
}

// lambda = value of pole `origin` + eta
struct Root {
  origin: u32,  // counted from the merge's start
  eta: f32,
}

struct Counts {
  moved: u32,      // poles that the update moves: the first of the merge's
  rotations: u32,
}

// x <- c x + s y, y <- c y - s x
struct Rotation {
  x: u32,
  y: u32,
  c: f32,
  s: f32,
}

fn merge_at(index: u32) -> Merge {
  let start = 2 * index * params.half;
  return Merge(start, min(start + params.half, params.side), min(start + 2 * params.half, params.side));
}
