from tests.clients.chat import Ask, Reply


def answer(ask: Ask) -> Reply:
    return Reply(say="todo")
