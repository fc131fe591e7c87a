-- Lists of an owner's conversations.
CREATE INDEX conversations_by_owner ON antiphon.conversations (owner, number);
