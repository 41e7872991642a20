"""Words of the tasks that front ends and frameworks give a model by themselves. Data."""

from __future__ import annotations

from pointsman.routing.ask import words
from pointsman.routing.ask.words import word_set


def _task(verbs: str, things: str) -> tuple[list[str], frozenset[str]]:
    return verbs.split(), frozenset(things.split(", "))


TASKS = (
    _task(
        "what which generate generates generating create creates write writes provide suggest suggests give produce "
        "compose propose predict make makes extract extracts extracting extractor identify identifies find list "
        "determine determines think take come coming expand decompose break split turn convert crafting output "
        "assign name summarize summarizes summarise sum analyze analyzes formulate describe reply respond return "
        "choose pick",
        "title, titles, topic, topics, tags, label, labels, emoji, emojis, keyword, keywords, keyphrases, key "
        "phrases, queries, subqueries, subquestions, sub questions, search query, web query, retrieval query, up "
        "questions, up question, next questions, alternative questions, related questions, similar questions, likely "
        "questions, suggested questions, clarifying questions, versions, variations, wordings, suggestions, replies, "
        "summary, summaries, recap, triplets, triples, entities, statements, sentiment, emotion, intent, intents, "
        "intention, headline, commit message, commit messages, a name, short name, session name, thread name, branch "
        "name, a passage, short passage, hypothetical passage, hypothetical document, memories, facts about, image "
        "prompt, document title, parameters, slots, insights, lessons, takeaways, quiz, choice questions, three "
        "questions, sub tasks, action items, highlights, key points, next message, handover, hand over, handoff, "
        "synonyms, related terms, that section, that passage, that paragraph, git branch, subject line, replies, file "
        "name, filename, filler, new tasks, search phrases, claims, next tasks, task list, search terms, followup "
        "questions, clarifying question, rewording, rewordings, personas",
    ),
    _task("ask", "clarifying question, up question"),
    _task("fill", "slots, slot"),
    _task("replace remove mask redact anonymize", "names, addresses, personal data, personal information"),
    _task(
        "summarize summarizes summarizing summarise summarizer compress compresses compressing condense condenses "
        "compact distill sum summary",
        "conversation, conversations, chat, history, discussion, thread, session, transcript, messages, dialogue, "
        "dialog, exchange, interaction, context",
    ),
    _task(
        "correct proofread rewrite rewrites rephrase rephrases reformulate reformulates condense turn convert refine "
        "improve enhance formulate paraphrase make translate translates",
        "query, question, questions, prompt, message, input, text, alone, standalone, by itself, on its, version",
    ),
    _task(
        "choose chooses select selects pick picks route routes decide decides determine determines classify "
        "classifies classifying classification categorize detect identify assign",
        "role, roles",
    ),
    _task(
        "choose chooses select selects pick picks route routes decide decides determine determines classify "
        "classifies classifying classification categorize detect identify assign return returns name label labels",
        "function, functions, stage, intent, agent, agents, worker, workers, speaker, participant, category, "
        "categories, class, classes, candidate, candidates, choices, options, destination, destinations, intent, "
        "speaks, acts, label, labels, sentiment, emotion, complexity, needed, necessary, necessity, the tool, "
        "language, who, handle, better, winner, one of, name of, urgency, priority, department, queue",
    ),
    _task(
        "compare compares comparing grade grades grading grader judge judges judging evaluate evaluates evaluating "
        "evaluator assess assesses assessing rate rates rating rank ranks ranking score scores scoring",
        "answer, answers, response, responses, document, documents, passages, quality, statement, statements, output",
    ),
    _task(
        "grade judge evaluate assess assessing rate score rank check verify determine decide classify detect",
        "relevance, relevant, relevancy, faithful, faithfulness, faithfully, grounded, helpful, helpfulness, "
        "correctness, supported, complies, safe, unsafe, harmful, toxic, spam, malicious, injection, jailbreak, "
        "policy, violates, allowed, blocked, sufficient, answerable, be answered, whether the, complexity, difficulty, "
        "attempt, if the",
    ),
    _task("extract extracts list find identify collect", "mentioned in, contained in"),
    _task(
        "save saves store stores update remember extract maintain manage manages manager keep record",
        "memory, memories, facts, preferences",
    ),
    _task(
        "complete completes continue autocomplete",
        "text, query, input, message",
    ),
    _task(
        "are",
        "rephraser, rewriter, classifier, grader, supervisor, summarizer, router, titler, tagger, reranker, "
        "moderator, evaluator, judge",
    ),
)
"""Operations of such tasks, and their objects, alone or with the word before."""

DECIDES = word_set(
    "decide decides determine determines classify classifies categorize categorise label detect identify judge assess "
    "say tell choose chooses pick select rate score grade check route assign flag estimate predict"
)
"""Words with which a program begins its inquiry about a user's words."""

ASKED_ABOUT = word_set("which does is are did has can should what")
"""Words with which such questions begin."""

OPERATIONS = word_set(
    "decide determine classify categorize categorise label detect identify judge assess rate score grade rank compare "
    "choose pick select extract remove replace redact mask summarize summarise condense compress distill rewrite "
    "rephrase reformulate paraphrase translate correct proofread expand decompose break split route assign propose "
    "predict anticipate flag tag deduplicate anonymize normalize verify check say diagnose list "
    "turn convert generate name resolve map fill shorten"
)
"""Operations that a program has done with a text, and that do not answer it."""

BEFORE = word_set("you and then please now or either only")
"""An order follows one of these, or begins its sentence."""

GIVENS = word_set("given for from below between")
"""A sentence that begins with one of these has its order later."""

SAID = word_set(
    "question questions query queries utterance conversation conversations chat dialogue dialog transcript prompt user "
    "evidence bot chatbot assistants speaker agent"
)
"""Words of programs and seldom of persons, who ask or decide something about a message."""

RESOURCES = word_set("context contexts tool tools action actions source sources documents")
"""With these, a question is to be answered."""

SPEAKERS = word_set("user users customer customers caller visitor human client guest sender")
SAYINGS = word_set(
    "message messages query queries question questions request requests utterance utterances input prompt turn"
)
"""Words of programs for users, and for users' words."""

CHECKS = word_set(
    "hold holds contain contains relevant related mention mentions support supports supported grounded sufficient"
)
"""Subjects of helper tasks that ask about a text: "Does the passage hold ...?"."""

THINGS = {
    verb: frozenset().union(*[things for verbs, things in TASKS if verb in verbs])
    for verb in [verb for verbs, _ in TASKS for verb in verbs]
}
"""The objects of each verb."""

OPERATES = OPERATIONS | ASKED_ABOUT | {"do"}
"""Each order of an operation has one of these."""

VERBS = DECIDES | OPERATES | frozenset(THINGS)
"""Each instruction has one of these."""

ANSWERED = word_set("answer answers answering reply replies respond responds response responses help helps")
"""The products of all other tasks."""

ASKED = word_set("question questions query queries user customer asks asked they me")
"""The things that an answer answers."""

ABOUT = word_set(
    "memories ticket tickets conversation conversations chat chats dialogue dialog discussion discussions thread "
    "session history transcript message messages exchange user users human humans speaker question questions query "
    "input utterance request prompt text document documents context passage statement answer response content diff "
    "diffs changes choices candidates task excerpt answers responses submission email emails note notes sentence "
    "sentences"
)
"""The subjects of helper tasks."""

STRICT = (
    "only", "nothing else", "json", "quotation", "quotes", "punctuation", "no other text", "no more",
    "no explanation", "without explanation", "do not answer", "don't answer", "do not include", "concise", "full stop",
    "-word", "words or less", "word title", "words or fewer", "characters", "one line", "per line", "single line",
    "each on", "no full", "respond with", "return", "output", "alone", "lower case", "exactly", "at most", "format",
    "yes or no", "'yes' or 'no'", "score", "verdict", "rating", "same language", "one word", "reply with", "so far",
    "self-contained", "standalone", "comma-separated", "answer with", "answer '", "will replace", "do not carry",
    "only the", "no other word", "with no other", "true or false", "single word", "the digit", "number only",
    "label only", "name only", "or fewer", "no numbering", "in capitals", "must be", "nothing but", "without preamble",
    "no preamble", "without additional", "no additional", "integer", "single digit", "one boolean", "strictly",
    "-letter code", "0 words", "5 words", "no longer than", "structure shown", "structure below", "bullet",
    "no introduction", "without numbering", "one sentence", "exactly one",
)  # fmt: skip
"""Phrases by which the instruction of a helper task says what to answer."""

FOREIGN = (
    ("nur ", "ausschließlich", "solo ", "únicamente", "unicamente", "exclusivamente", "somente ", "sólo ", "solamente",
     "uniquement", "seulement", "soltanto", "apenas ", "alleen", "yalnızca", "tylko", "только", "只", "仅", "だけ",
     "のみ", "만 "),
    ("titel", "título", "titulo", "titre", "titolo", "tytuł", "başlık", "заголовок", "标题", "標題", "タイトル", "제목",
     "eigenständige frage", "pregunta independiente", "question autonome", "独立的问题", "独立した質問", "关键词",
     "キーワード", "schlagwörter", "stichwörter", "etiquetas", "mots-clés", "parole chiave", "suchanfrage", "ключевые"),
    ("unterhaltung", "gespräch", "konversation", "chat", "conversa", "dialog", "диалог", "разговор",
     "对话", "會話", "会话", "会話", "대화", "frage", "pregunta", "question", "问题", "質問", "sohbet", "rozmow"),
)  # fmt: skip
"""Phrases for "nothing else" (the rarest), orders and subjects of such tasks in other languages."""

JUDGED = (
    ("fasse ", "résume", "resume ", "riassumi", "erkenne", "détecte", "detecta", "rileva", "bewerte", "évalue",
     "evalúa", "klassifizier", "kategorisier", "ordne ", "clasifica", "classe ", "classez", "classifi", "catégoris",
     "categoriz", "umformul", "formuliere", "reformul", "reescrib", "riscriv", "riformul", "reescrev", "分类", "判断",
     "改写", "分類", "判定", "書き換え", "классифицир", "определи", "분류"),
    ("nutzer", "usuario", "usuário", "utilisateur", "utente", "gebruiker", "пользовател", "用户", "ユーザ", "사용자",
     "folgende anfrage", "folgenden anfrage", "nachricht unten", "message ci-dessous", "demande suivante",
     "siguiente consulta", "folgende nachricht", "folgenden nachricht", "siguiente mensaje", "message suivant",
     "messaggio seguente", "seguente messaggio",
     "seguinte mensagem", "以下消息", "以下问题", "下面的问题", "следующее сообщение"),
)  # fmt: skip
"""Orders to judge or rewrite a user's words in other languages."""

NEUTRAL = (
    ABOUT
    | ANSWERED
    | words.FRAMES
    | frozenset(THINGS)
    | word_set(" ".join([thing for _, things in TASKS for thing in things]))
    | word_set(
        "fresh spelling grammar typos corrected changing llm bot chatbot system expert professional skilled "
        "specialist job goal purpose descriptive succinct single simple main overall important fitting current "
        "latest recent initial entire full retrieved characters punctuation quotes quotation marks max maximum "
        "two four five six ten seven several captures capture gist theme themes special broad independent self "
        "contained natural different multiple research optimized optimize database vector engine far names keeps "
        "decisions open retriever semantic suited scale staged stands according send meaning intended essence "
        "core focus base direct capitals fits fit fewer explanation commentary comma separated joined hyphens "
        "lower upper window nearly wanted matter matters terse imagine encyclopedia embedded compared reader "
        "address holds hold contain contains claims claim digit factual sums reads archive tried issue finish "
        "face facial expression likely situate chunk chunks purposes improving retrieval specialized accurately "
        "storing adding onto returning previous activity entity types relationships criteria nodes conversational "
        "coding wants run modifies command specified rubric feedback responsible skill skills metadata "
        "description descriptions execute executing perform call routing simulate mentioned code codes spaces "
        "space planner planning incoming letter letters complex easy hard eight nine filler down simpler "
        "numbering true false later remembered remembering worth saving saved slots slot fill filled filling "
        "extension presented shown generated objective creation execution completed incomplete completion outline "
        "assume date google online web internet opinion structure expanded processes process recall semantically "
        "background maintains integrate outdated remove happened goes inside pieces piece act under generator "
        "talk talks transcript option options index id ids identifier identifiers integer range inclusive "
        "threshold high low higher highest lowest level levels type kind kinds group groups reason reasoning "
        "justify justification rationale preamble introduction comment comments formatting emphasis definition "
        "definitions pronouns resolve resolves ambiguous ambiguity preserve preserving preserved essential "
        "moderation violate violation hallucinated hallucination contradicts contradiction iso simulated pipeline "
        "stage module component assistant's subsequent downstream caller visitor sender addressed directed empty "
        "back easier generic newest consider recency local rare addresses markers placeholders replace refuse "
        "refused complied finished greeting greetings small named loc org none triples triple lines tables "
        "reviewing solve solved failed failure avoids assistants assistant tie b c enhanced lead bullet bullets "
        "sessions outcome quick tap world place instead guessing processed post did had has unchanged removed "
        "remaining surrounding verbatim phone mail e function functions optimal program record followup "
        "explanations plan agent's order ordered"
    )
)
"""Words of their instructions that name no subject."""
