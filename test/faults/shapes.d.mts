export declare const shapes: Record<string, { dimensions: number; from: number; to: number; start: number[] }>;
/** Whether a point lies in a shape. */
export declare function stableIn(shape: string, at: readonly number[]): boolean;
