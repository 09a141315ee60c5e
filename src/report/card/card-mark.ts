/** Marks a card that batch-cam wrote, and may therefore replace. */
export const CARD_MARK = "<!-- Written by batch-cam, and written anew when the run goes on. -->";
