/**
 * Which of some goes with which of others, best in sum. Flat arrays, row by row.
 *
 * The same steps in the same order as sightline/runtime/assignment.py, so that equals are settled
 * alike; contracts/golden/tracker.json holds vectors for both.
 */

/** (rows,) for each row its column, -1 for none: the pairs of gain above 0 with the greatest sum. */
export function matchPairs(gains: Float64Array, rows: number, columns: number): Int32Array {
  const columnOf = new Int32Array(rows).fill(-1);
  const ofRow = new Int32Array(rows);
  const ofColumn = new Int32Array(columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      if ((gains[row * columns + column] as number) <= 0) continue;
      ofRow[row] = (ofRow[row] as number) + 1;
      ofColumn[column] = (ofColumn[column] as number) + 1;
      columnOf[row] = column;
    }
  }
  // Most pairs have no rival, which leaves little to solve.
  const rivalRows: number[] = [];
  for (let row = 0; row < rows; row++) {
    const column = columnOf[row] as number;
    if (column < 0) continue;
    if (ofRow[row] === 1 && ofColumn[column] === 1) {
      ofColumn[column] = 0;
    } else {
      columnOf[row] = -1;
      rivalRows.push(row);
    }
  }
  const rivalColumns: number[] = [];
  for (let column = 0; column < columns; column++) {
    if ((ofColumn[column] as number) > 0) rivalColumns.push(column);
  }
  const costs = new Float64Array(rivalRows.length * rivalColumns.length);
  let place = 0;
  for (const row of rivalRows) {
    for (const column of rivalColumns) costs[place++] = -(gains[row * columns + column] as number);
  }
  const chosen = assign(costs, rivalRows.length, rivalColumns.length);
  rivalRows.forEach((row, index) => {
    const column = rivalColumns[chosen[index] as number];
    if (column !== undefined && (gains[row * columns + column] as number) > 0) {
      columnOf[row] = column;
    }
  });
  return columnOf;
}

/**
 * (rows,) for each row its column, -1 where there are too few, at the least sum of costs.
 *
 * Shortest augmenting paths (Crouse, On Implementing 2D Rectangular Assignment Algorithms, IEEE
 * TAES 52(4), 2016), O(n^3).
 */
export function assign(costs: Float64Array, rows: number, columns: number): Int32Array {
  if (rows <= columns) return assignRows(costs, rows, columns);
  const turned = new Float64Array(costs.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      turned[column * rows + row] = costs[row * columns + column] as number;
    }
  }
  const found = new Int32Array(rows).fill(-1);
  assignRows(turned, columns, rows).forEach((row, column) => {
    found[row] = column;
  });
  return found;
}

/** `assign` where there are enough columns: rows <= columns. */
function assignRows(costs: Float64Array, rows: number, columns: number): Int32Array {
  const rowPrice = new Float64Array(rows);
  const columnPrice = new Float64Array(columns);
  const columnOf = new Int32Array(rows).fill(-1);
  const rowOf = new Int32Array(columns).fill(-1);
  const distance = new Float64Array(columns);
  const cameFrom = new Int32Array(columns);
  const isOpen = new Uint8Array(columns);
  for (let start = 0; start < rows; start++) {
    distance.fill(Number.POSITIVE_INFINITY);
    isOpen.fill(1);
    let row = start;
    let shortest = 0;
    let end = -1;
    for (;;) {
      end = -1;
      let least = Number.POSITIVE_INFINITY;
      for (let column = 0; column < columns; column++) {
        if (isOpen[column] === 0) continue;
        const cost = costs[row * columns + column] as number;
        const price = columnPrice[column] as number;
        const reached = shortest + (cost - (rowPrice[row] as number) - price);
        if (reached < (distance[column] as number)) {
          distance[column] = reached;
          cameFrom[column] = row;
        }
        if ((distance[column] as number) < least) {
          least = distance[column] as number;
          end = column;
        }
      }
      shortest = least;
      isOpen[end] = 0;
      if ((rowOf[end] as number) < 0) break;
      row = rowOf[end] as number;
    }
    rowPrice[start] = (rowPrice[start] as number) + shortest;
    for (let column = 0; column < columns; column++) {
      if (isOpen[column] === 1 || column === end) continue;
      const gap = shortest - (distance[column] as number);
      const passed = rowOf[column] as number;
      rowPrice[passed] = (rowPrice[passed] as number) + gap;
      columnPrice[column] = (columnPrice[column] as number) - gap;
    }
    // Each row of the path takes the next column.
    do {
      row = cameFrom[end] as number;
      rowOf[end] = row;
      const next = columnOf[row] as number;
      columnOf[row] = end;
      end = next;
    } while (row !== start);
  }
  return columnOf;
}
