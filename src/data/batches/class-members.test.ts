import fc from "fast-check";
import { expect, it } from "vitest";
import { placesOfAllClasses } from "./prototypes.ts";

it("takes the first images where they are of as many classes as they can be", () => {
  expect([...placesOfAllClasses([7, 2, 1, 0, 4, 1, 4], 5)]).toEqual([0, 1, 2, 3, 4]);
  expect([...placesOfAllClasses([0, 1, 0, 1], 9)]).toEqual([0, 1, 2, 3]);
});

it("takes images of all classes by turns where the first are of some alone", () => {
  expect([...placesOfAllClasses([0, 0, 0, 0, 1, 1, 2], 4)]).toEqual([0, 1, 4, 6]);
  expect([...placesOfAllClasses([0, 0, 0, 0, 1, 1, 2], 2)]).toEqual([0, 4]);
});

it("gives as many different places as were asked for and there are, of as many classes as fit", () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 4 }), { minLength: 1 }), fc.integer({ min: 1, max: 20 }), (labels, count) => {
      const places = placesOfAllClasses(labels, count);
      expect(new Set(places).size).toBe(Math.min(count, labels.length));
      const classes = new Set(Array.from(places, (place) => labels[place])).size;
      expect(classes).toBe(Math.min(new Set(labels).size, places.length));
    }),
  );
});
